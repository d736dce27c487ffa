#include "device/simulated_state.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/this_thread.h"

namespace slipstream::device {
namespace {

void sleep_until_ns(Nanoseconds until_ns) {
  std::this_thread::sleep_until(
      std::chrono::steady_clock::time_point(std::chrono::nanoseconds(until_ns)));
}

}  // namespace

Status SimulatedDevice::State::usable(std::uint64_t made) const {
  if (!lost.is_ok()) return lost;
  if (made == generation) return Status::ok();
  return unavailable("it was made before the simulated device was lost: make it again");
}

Status SimulatedDevice::State::refused(SimulatedCall call) {
  Refusal& refusal = refusals[static_cast<std::size_t>(call)];
  if (refusal.after == kNever) return Status::ok();
  if (refusal.after > 0) {
    --refusal.after;
    return Status::ok();
  }
  refusal.after = kNever;
  return std::exchange(refusal.why, Status());
}

void SimulatedDevice::State::lose(const std::string& cause) {
  lost = unavailable("the simulated device is lost: " + cause);
  lost_after = kNever;
  for (const auto& queue : queues) queue->waiting.clear();
  changed.notify_all();
}

void SimulatedDevice::State::settle() {
  bool has_changed = true;
  while (has_changed) {
    has_changed = false;
    for (const auto& queue : queues) {
      while (!queue->is_running && !queue->waiting.empty() && !queue->waiting.front().engine) {
        Operation& first = queue->waiting.front();
        if (first.awaits && !first.point->is_done) break;
        if (first.point == nullptr) {
          first.work();
        } else if (first.awaits) {
          queue->ready_ns = std::max(queue->ready_ns, first.point->at_ns);
        } else {
          *first.point = {.is_done = true, .at_ns = std::max(queue->ready_ns, first.asked_ns)};
        }
        queue->waiting.pop_front();
        has_changed = true;
      }
    }
  }
  changed.notify_all();
}

std::shared_ptr<Queue> SimulatedDevice::State::next_for(SimulatedEngine engine) const {
  for (const auto& queue : queues) {
    if (!queue->is_running && !queue->waiting.empty() && queue->waiting.front().engine == engine)
      return queue;
  }
  return nullptr;
}

bool SimulatedDevice::State::is_idle() const {
  return std::ranges::all_of(
      queues, [](const auto& queue) { return queue->waiting.empty() && !queue->is_running; });
}

void SimulatedDevice::State::run(SimulatedEngine kind) {
  static constexpr std::array<const char*, kSimulatedEngines> kNames{"in", "compute", "out"};
  set_current_thread_name(std::string("slip-sim-") + kNames[static_cast<std::size_t>(kind)]);
  Engine& engine = engines[static_cast<std::size_t>(kind)];
  std::unique_lock lock(mutex);
  while (true) {
    std::shared_ptr<Queue> queue;
    changed.wait(lock, [&] { return is_stopping || (queue = next_for(kind)) != nullptr; });
    if (queue == nullptr) return;
    if (lost_after == 0) {
      lose(lost_cause);
      continue;
    }
    if (lost_after != kNever) --lost_after;
    Operation operation = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    queue->is_running = true;
    const Nanoseconds begin = std::max({queue->ready_ns, engine.free_ns, operation.asked_ns});
    lock.unlock();
    operation.work();
    if (options.is_real_time) sleep_until_ns(begin + operation.takes_ns);
    lock.lock();
    queue->is_running = false;
    queue->ready_ns = engine.free_ns = begin + operation.takes_ns;
    engine.busy_ns += operation.takes_ns;
    settle();
  }
}

}  // namespace slipstream::device
