// The workers of a served model: threads that take batches for their instances.
#include <mutex>
#include <string>

#include "core/executor.h"
#include "core/served_model.h"
#include "core/this_thread.h"

namespace slipstream {

void ServedModel::run_worker(InstanceSlot& slot, std::size_t number) noexcept {
  set_current_thread_name("slip-" + std::to_string(number) + "-" + options_.name);
  yield_precedence(options_.worker_nice);
  if (PipelinedInstance* const pipelined = slot.instance->pipelined()) {
    is_pipelined_.set(true);
    run_pipelined_worker(slot, *pipelined);
  } else {
    run_blocking_worker(slot);
  }
}

void ServedModel::run_blocking_worker(InstanceSlot& slot) noexcept {
  ExecutionContext context{model_->spec(), pool_, batcher_, latency_, stats_, options_.memory};
  Batch batch;
  batch.reserve(options_.batcher.max_batch_rows);
  while (!leaves_when_asked(slot)) {
    std::unique_lock lock(slot.in_use, std::defer_lock);
    take_back(lock);
    Nanoseconds begin = now_ns();
    if (!batcher_.form(batch, begin)) {
      // Announcing oneself as a waiter costs producers a system call, so it comes second; and after
      // it one must look again (event_count.h).
      const EventCount::Key key = work_.prepare_wait();
      begin = now_ns();
      if (!batcher_.form(batch, begin)) {
        lock.unlock();
        if (!wait_for_work(slot, key)) return;
        continue;
      }
      work_.cancel_wait();
    }
    stats_.stages.batch.record(now_ns() - begin);
    // More may be waiting than this batch took, and its notification woke only this worker.
    if (slots_.size() > 1 && !batcher_.approx_empty()) work_.notify_one();
    slot.is_busy.set(true);
    run_batch(context, *slot.instance, batch);
    slot.is_busy.set(false);
  }
  // A notification may have woken this worker for what it does not take.
  if (!batcher_.approx_empty()) work_.notify_one();
}

void ServedModel::take_back(std::unique_lock<std::mutex>& in_use) noexcept {
  if (in_use.try_lock()) return;
  // It is lent to a caller, maybe for long; another instance may be idle.
  if (slots_.size() > 1 && !batcher_.approx_empty()) work_.notify_one();
  in_use.lock();
}

bool ServedModel::wait_for_work(InstanceSlot& slot, EventCount::Key key) noexcept {
  if (stopping_.load()) {
    work_.cancel_wait();
    slot.phase.store(Phase::kLeft);
    return false;
  }
  if (slot.phase.load() == Phase::kAsked) {
    work_.cancel_wait();
  } else {
    work_.wait(key);
  }
  return true;
}

}  // namespace slipstream
