// Requests of one row against a served model, from callers that wait for each answer or at random
// times; one thread is all of the clients.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core/served_model.h"
#include "policies.h"

namespace {

using namespace slipstream;
using namespace overlap;

constexpr std::int64_t kMaxBatchRows = 64;
constexpr std::size_t kMostRequests = 8192;

class Answers final : public CompletionSink {
 public:
  bool complete(std::uint64_t /*tag*/, Response&& response) noexcept override {
    const std::scoped_lock lock(mutex_);
    failed_ |= !response.status.is_ok();
    total_ns_.push_back(response.total_ns);  // reserved
    return false;
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex_);
    return total_ns_.size();
  }
  void clear(std::size_t room) {
    const std::scoped_lock lock(mutex_);
    total_ns_.clear();
    total_ns_.reserve(room);
  }
  std::vector<Nanoseconds> take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(total_ns_, {});
  }
  bool failed() {
    const std::scoped_lock lock(mutex_);
    return failed_;
  }

 private:
  std::mutex mutex_;
  std::vector<Nanoseconds> total_ns_;
  bool failed_ = false;
};

class Clients {
 public:
  Clients(ServedModel& served, std::shared_ptr<Answers> answers)
      : served_(served), answers_(std::move(answers)) {}

  // So many callers, each of which asks again when it was answered.
  void wait_for_answers(std::int64_t callers, Nanoseconds for_ns) {
    const Nanoseconds until = now_ns() + for_ns;
    while (now_ns() < until) {
      const std::size_t target = answers_->count() + static_cast<std::size_t>(callers);
      while (sent_ < target) send();
      std::this_thread::yield();
    }
  }
  // As they come: times between requests are exponential.
  void come_at_random(std::int64_t per_second, Nanoseconds for_ns) {
    std::exponential_distribution<double> gap_ns(static_cast<double>(per_second) / 1e9);
    double next = static_cast<double>(now_ns());
    const double until = next + static_cast<double>(for_ns);
    while (next < until) {
      next += gap_ns(random_);
      while (static_cast<double>(now_ns()) < next) std::this_thread::yield();
      send();
    }
  }
  void finish() {
    while (answers_->count() < sent_) std::this_thread::yield();
  }
  void begin_anew(std::size_t room) {
    finish();
    answers_->clear(room);
    sent_ = 0;
  }

 private:
  void send() {
    std::vector<Tensor> inputs;
    inputs.push_back(Tensor::allocate(DType::kFloat32, {1, 16}));
    // A queue that is full counts as a request that was not sent.
    if (served_.submit(std::move(inputs), {}, answers_, sent_, nullptr).is_ok()) ++sent_;
  }

  ServedModel& served_;
  std::shared_ptr<Answers> answers_;
  std::mt19937_64 random_{7};
  std::size_t sent_ = 0;
};

}  // namespace

// `callers` that wait, or, where that is 0, `per_second` requests at random. Fills `figures` with
// requests a second, the median and the 99th percentile of latency in ms, and rows a batch.
// Returns 0, or -1 when something failed.
extern "C" [[gnu::visibility("default")]] std::int64_t measure_overlap(
    std::int64_t policy, std::int64_t callers, std::int64_t per_second, std::int64_t copy_ns,
    std::int64_t base_ns, std::int64_t per_row_ns, std::int64_t for_ns, double* figures) {
  const auto device = std::make_shared<device::SimulatedDevice>(
      device::SimulatedOptions{.copy_ns = copy_ns, .is_real_time = true});
  RequestPool pool(kMostRequests);
  DeadlineTimer timer(pool);
  ServeOptions options;
  options.name = "overlap";
  options.batcher.max_batch_rows = kMaxBatchRows;
  options.batcher.queue_capacity = kMostRequests;
  options.inline_limit_ns = 0;
  auto served = ServedModel::create(
      pool, timer,
      make_model(device, {.copy_ns = copy_ns, .base_ns = base_ns, .per_row_ns = per_row_ns},
                 static_cast<Policy>(policy)),
      std::move(options));
  if (!served.is_ok()) return -1;
  const auto answers = std::make_shared<Answers>();
  Clients clients(*served.value(), answers);
  Nanoseconds begin = 0;
  std::uint64_t executions = 0;
  for (const Nanoseconds phase_ns : {for_ns / 4, for_ns}) {  // the first is for learning
    clients.begin_anew(1U << 20U);
    executions = served.value()->stats().executions.count();
    begin = now_ns();
    if (callers > 0) {
      clients.wait_for_answers(callers, phase_ns);
    } else {
      clients.come_at_random(per_second, phase_ns);
    }
  }
  clients.finish();
  const auto took_ns = static_cast<double>(now_ns() - begin);
  executions = served.value()->stats().executions.count() - executions;
  std::vector<Nanoseconds> latencies = answers->take();
  served.value()->close(0);
  if (answers->failed() || latencies.empty() || executions == 0) return -1;
  std::ranges::sort(latencies);
  const auto at = [&latencies](std::size_t percent) {
    return static_cast<double>(latencies[(latencies.size() - 1) * percent / 100]) / 1e6;
  };
  figures[0] = static_cast<double>(latencies.size()) / took_ns * 1e9;
  figures[1] = at(50);
  figures[2] = at(99);
  figures[3] = static_cast<double>(latencies.size()) / static_cast<double>(executions);
  return 0;
}
