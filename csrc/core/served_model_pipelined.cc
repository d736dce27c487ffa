// The worker of an instance whose executions begin and end apart: while some are in progress it
// begins others and answers what has ended, and sleeps only where neither will be for a while.
#include <algorithm>
#include <mutex>
#include <thread>

#include "core/pipelined_executor.h"
#include "core/served_model.h"
#include "core/this_thread.h"

namespace slipstream {
struct ServedModel::PipelinedWorker {
  InstanceSlot& slot;
  PipelinedExecutor executor;
  std::unique_lock<std::mutex> in_use;
};

void ServedModel::Bell::ring(void* bell) noexcept {
  auto* const self = static_cast<Bell*>(bell);
  self->ended.notify_one();
  self->work.notify_all();  // whichever of the workers has begun it
  self->full.notify_all();
}

void ServedModel::run_pipelined_worker(InstanceSlot& slot, PipelinedInstance& instance) noexcept {
  ExecutionContext context{model_->spec(), pool_, batcher_, latency_, stats_, options_.memory};
  PipelinedWorker worker{.slot = slot,
                         .executor = {context, instance, options_.batcher.max_batch_rows},
                         .in_use = std::unique_lock(slot.in_use, std::defer_lock)};
  PipelinedExecutor& executor = worker.executor;
  for (;;) {
    if (!worker.in_use.owns_lock()) take_back(worker.in_use);
    const bool has_ended = executor.end_first();
    if (executor.is_idle() && leaves_when_asked(slot)) break;
    bool has_begun = false;
    while (begin_next(worker)) has_begun = true;  // the device has work before anybody is answered
    if (has_begun || has_ended) continue;
    if (!executor.is_idle()) {
      wait_for_device(worker);
      continue;
    }
    slot.is_busy.set(false);
    const EventCount::Key key = work_.prepare_wait();
    if (begin_next(worker)) {  // see run_worker
      work_.cancel_wait();
      continue;
    }
    worker.in_use.unlock();
    if (!wait_for_work(slot, key)) return;
  }
  slot.is_busy.set(false);
  // A notification may have woken this worker for what it does not take.
  if (!batcher_.approx_empty()) work_.notify_one();
}

// Begins the next execution where there is room for it and something to execute.
bool ServedModel::begin_next(PipelinedWorker& worker) noexcept {
  PipelinedExecutor& executor = worker.executor;
  if (!executor.has_room()) return false;
  const Wake wake{.function = Bell::ring, .context = &worker.slot.bell};
  if (executor.begin_again(wake)) return true;
  const EventCount* const source = source_of(worker);
  const bool takes_any = source == &work_;
  if (source == nullptr || !(takes_any || batcher_.approx_fills_batch())) return false;
  const Nanoseconds now = now_ns();
  // What is taken now is executed when the device has done what it has.
  if (!batcher_.form(executor.next_batch(), executor.busy_until_ns(now))) return false;
  stats_.stages.batch.record(now_ns() - now);
  // More may be waiting than this batch took, and its notification woke only this worker.
  if (slots_.size() > 1 && !batcher_.approx_empty()) notify_of_work();
  worker.slot.is_busy.set(true);
  executor.begin(wake, options_.poll_limit_ns);
  return true;
}

// What tells the worker of requests that it may begin now: of any, or of a whole batch. Null: it
// may begin none.
EventCount* ServedModel::source_of(const PipelinedWorker& worker) noexcept {
  const PipelinedExecutor& executor = worker.executor;
  if (!executor.has_room() || worker.slot.phase.load() == Phase::kAsked ||
      worker.slot.wanted.load() > 0) {
    return nullptr;
  }
  return executor.in_progress() == 0 || executor.gains_by_overlap() ? &work_ : &full_;
}

// Returns when something may have ended, or when there may be something to begin.
void ServedModel::wait_for_device(PipelinedWorker& worker) noexcept {
  PipelinedExecutor& executor = worker.executor;
  const Nanoseconds now = now_ns();
  if (!executor.first_wakes() && now - executor.first_until_ns() <= options_.poll_limit_ns) {
    std::this_thread::yield();
    return;
  }
  EventCount* const source = source_of(worker);
  // A notification may have woken this worker for what it does not take now.
  if (source != &work_ && slots_.size() > 1 && !batcher_.approx_empty()) work_.notify_one();
  EventCount& event = source != nullptr ? *source : worker.slot.bell.ended;
  const EventCount::Key key = event.prepare_wait();
  const bool may_begin = source == &work_   ? !batcher_.approx_empty()
                         : source == &full_ ? batcher_.approx_fills_batch()
                                            : false;
  if (executor.end_first() || may_begin) {
    event.cancel_wait();
    return;
  }
  (void)event.wait_until(key, now + options_.nap_limit_ns);
}

}  // namespace slipstream
