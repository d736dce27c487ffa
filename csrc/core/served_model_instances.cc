// How many instances a served model has, and how that changes while it answers.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/executor.h"
#include "core/served_model.h"
#include "core/shape_key.h"

namespace slipstream {
namespace {

// Executions of a warm-up on each instance: those that teach nothing, and those that do.
constexpr int kColdRuns = 2;
constexpr int kWarmRuns = 3;
constexpr Nanoseconds kWarmUpNs = 1'000'000'000;  // after it no execution begins
constexpr Nanoseconds kLeaveNs = 1'000'000'000;   // a worker that takes longer to leave stays

}  // namespace

Status ServedModel::set_instances(std::size_t count) {
  const std::scoped_lock lock(close_mutex_);
  if (closing_.load()) return unavailable("model '" + options_.name + "' is being unloaded");
  if (count < 1 || count > slots_.size()) {
    return invalid_argument("model '" + options_.name + "' has room for 1 to " +
                            std::to_string(slots_.size()) + " instances, not " +
                            std::to_string(count));
  }
  for (std::size_t i = running_.load(); i < count; ++i) {
    if (Status status = start_instance(i); !status.is_ok()) return status;
  }
  for (std::size_t i = running_.load(); i > count; --i) {
    if (Status status = end_instance(*slots_[i - 1]); !status.is_ok()) return status;
  }
  return Status::ok();
}

Status ServedModel::start_instance(std::size_t number) {
  InstanceSlot& slot = *slots_[number];
  Result<std::unique_ptr<Instance>> made = model_->create_instance();
  if (!made.is_ok()) return made.status();
  if (PipelinedInstance* const pipelined = made.value()->pipelined()) {
    pipelined->expect_rows(batcher_.max_batch_rows());
  }
  const Nanoseconds until_ns = now_ns() + kWarmUpNs;
  for (const WarmRequest& request : warm_requests_) {
    // One that fails now has succeeded before: requests will show what is wrong.
    if (!warm_up_instance(*made.value(), request, until_ns).is_ok()) break;
  }
  {
    const std::scoped_lock lock(slot.in_use, instances_mutex_);
    slot.instance = std::move(made).value();
  }
  slot.phase.store(Phase::kAtWork);
  try {
    slot.worker = std::thread([this, &slot, number] { run_worker(slot, number); });
  } catch (const std::system_error& error) {
    const std::scoped_lock lock(slot.in_use, instances_mutex_);
    slot.instance.reset();
    return resource_exhausted("model '" + options_.name + "' could not start worker " +
                              std::to_string(number + 1) + " (" + error.what() +
                              "); ask for fewer instances");
  }
  running_.fetch_add(1);
  batcher_.set_instances(static_cast<std::int64_t>(running_.load()));
  return Status::ok();
}

// A worker that hangs in an execution keeps its instance, so that whoever closes the model need not
// wait for it here: either it leaves, or the question is taken back.
Status ServedModel::end_instance(InstanceSlot& slot) {
  slot.phase.store(Phase::kAsked);  // before the notification: see run_worker
  work_.notify_all();
  const Nanoseconds until_ns = now_ns() + kLeaveNs;
  while (slot.phase.load() != Phase::kLeft && now_ns() < until_ns) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  Phase asked = Phase::kAsked;
  if (slot.phase.compare_exchange_strong(asked, Phase::kAtWork)) {
    return unavailable("an instance of model '" + options_.name +
                       "' is busy with one execution; try again when it is done");
  }
  slot.worker.join();
  running_.fetch_sub(1);
  batcher_.set_instances(static_cast<std::int64_t>(running_.load()));
  const std::scoped_lock lock(slot.in_use, instances_mutex_);
  ended_restarts_ += slot.instance->restarts();
  slot.instance.reset();
  return Status::ok();
}

bool ServedModel::leaves_when_asked(InstanceSlot& slot) noexcept {
  Phase asked = Phase::kAsked;
  return slot.phase.compare_exchange_strong(asked, Phase::kLeft);
}

Status ServedModel::warm_up_instance(Instance& instance, const WarmRequest& request,
                                     Nanoseconds until_ns) {
  const std::int64_t rows = model_->spec().batchable ? request.inputs.front().rows() : 1;
  const std::uint64_t shape_key = shape_key_of(request.inputs);
  const auto uncounted = std::make_unique<ModelStats>();
  const auto forgotten = std::make_unique<LatencyModel>();
  for (int run = 0; run < kColdRuns + kWarmRuns; ++run) {
    if (run > 0 && now_ns() >= until_ns) break;
    LatencyModel& learned = run < kColdRuns ? *forgotten : latency_;
    ExecutionContext context{model_->spec(), pool_, batcher_, learned, *uncounted, options_.memory};
    const Response response =
        run_once(context, instance, request.inputs, request.outputs_wanted, shape_key, rows);
    if (!response.status.is_ok()) return response.status;
  }
  return Status::ok();
}

std::size_t ServedModel::busy_instances() const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(slots_, [](const auto& slot) { return slot->is_busy.value(); }));
}

std::uint64_t ServedModel::restarts() const noexcept {
  const std::scoped_lock lock(instances_mutex_);
  std::uint64_t restarts = ended_restarts_;
  for (const auto& slot : slots_) {
    if (slot->instance) restarts += slot->instance->restarts();
  }
  return restarts;
}

Status ServedModel::health() const noexcept {
  const std::scoped_lock lock(instances_mutex_);
  for (const auto& slot : slots_) {
    if (!slot->instance) continue;
    if (Status status = slot->instance->health(); !status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace slipstream
