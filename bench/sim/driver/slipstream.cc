// The real Batcher, LatencyModel and policy, driven as ServedModel drives them, on the simulator's
// clock. Nothing of the curve is told to it: it starts cold and learns.
#include <algorithm>

#include "core/batch/batcher.h"
#include "simulator.h"

namespace sim {
namespace {

using slipstream::AdmissionQuestion;
using slipstream::Batch;
using slipstream::BatchPart;
using slipstream::Request;

class Slipstream : public Scheduler {
 public:
  explicit Slipstream(const Scenario& scenario)
      : batcher_(pool_,
                 {.max_batch_rows = scenario.max_rows,
                  .batchable = true,
                  .queue_capacity = 4096,
                  .instances = static_cast<std::int64_t>(scenario.instances),
                  .policy = {}},
                 latency_, abandoned_) {}

  bool offer(std::uint32_t index, const Job& job, Nanoseconds now) override {
    slipstream::RequestOptions options;
    options.priority = job.priority;
    options.deadline_ns = job.deadline_ns;
    const AdmissionQuestion question =
        batcher_.admission_question(options, job.rows, kShapeKey, now);
    if (!slipstream::can_meet_deadline(question)) return false;
    Request* const request = pool_.acquire();
    if (request == nullptr) return false;
    request->options = options;
    request->tag = index;
    request->rows = job.rows;
    request->shape_key = kShapeKey;
    request->accepted_ns = now;
    slipstream::Batcher::note_expectation(*request, question);
    (void)pool_.open(*request);
    if (batcher_.try_push(*request)) return true;
    pool_.release(*request);
    return false;
  }

  Decision decide(Nanoseconds now) override {
    Decision decision;
    if (!batcher_.form(batch_, now)) return decision;
    for (Request* const late : batch_.late) pool_.release(*late);
    for (const BatchPart& part : batch_.parts) {
      decision.jobs.push_back(static_cast<std::uint32_t>(part.request->tag));
      pool_.release(*part.request);
    }
    return decision;
  }

  void ended(const std::vector<std::uint32_t>& /*jobs*/, std::int64_t rows, Nanoseconds execute_ns,
             Nanoseconds /*now*/) override {
    latency_.observe(kShapeKey, rows, execute_ns);
  }

 private:
  static constexpr std::uint64_t kShapeKey = 1;

  slipstream::RequestPool pool_{1 << 15};
  slipstream::RelaxedCounter abandoned_;
  slipstream::LatencyModel latency_;
  slipstream::Batcher batcher_;
  Batch batch_;
};

}  // namespace

std::unique_ptr<Scheduler> make_slipstream(const Scenario& scenario) {
  return std::make_unique<Slipstream>(scenario);
}

}  // namespace sim
