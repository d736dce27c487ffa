// Batcher: forms batches out of a model's lanes, for whichever instance has just become idle.
//
// There is no batching thread and no window: an idle instance takes what is there, and batches grow
// because instances are busy (work-conserving). One thread forms at a time; the others wait for the
// few hundred nanoseconds that takes.
//
// A request that cannot join the batch being formed (another shape, no room) waits in `deferred_`,
// a short list that only the former sees, and is considered first the next time. A request of more
// rows than one execution takes is split: each execution gets a range, the rest stays deferred.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "core/batch/batch.h"
#include "core/queue/priority_lanes.h"
#include "core/request_pool.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

struct BatcherConfig {
  std::int64_t max_batch_rows = 64;
  bool batchable = true;
  std::size_t queue_capacity = 1024;  // requests per priority level
  PolicyConfig policy;
};

class Batcher {
 public:
  // Counts in `abandoned` the requests that were answered (cancelled, expired) while they waited.
  Batcher(RequestPool& pool, const BatcherConfig& config, RelaxedCounter& abandoned);

  // Queues a request; the queue takes over the caller's reference. False when its lane is full.
  [[nodiscard]] bool try_push(Request& request) noexcept;

  // Fills `batch` with the next execution. False when nothing is waiting. Any thread.
  [[nodiscard]] bool form(Batch& batch, Nanoseconds now);

  // From now on requests run one by one: a batch gave an answer of another number of rows.
  void stop_batching() noexcept { batchable_.store(false); }
  [[nodiscard]] bool is_batching() const noexcept { return batchable_.load(); }

  // May be stale when they return, and miss requests that are in a former's hands. (Short-circuits:
  // on a quiet model it reads a dozen cache lines.)
  [[nodiscard]] bool approx_empty() const noexcept {
    return deferred_count_.load(std::memory_order_acquire) == 0 && lanes_.approx_empty();
  }
  [[nodiscard]] std::size_t approx_size() const noexcept { return approx_size_ahead(kLowPriority); }
  // How many wait that a new request of that priority would not overtake.
  [[nodiscard]] std::size_t approx_size_ahead(int priority) const noexcept {
    return deferred_count_.load(std::memory_order_acquire) +
           lanes_.approx_size_from(lane_of(priority));
  }

  // Whether nothing waits. Exact once nobody pushes any more; blocks while a batch is formed.
  [[nodiscard]] bool is_drained() noexcept;

  // The most rows one execution takes of this request.
  [[nodiscard]] std::int64_t row_limit(const RequestOptions& options) const noexcept;

 private:
  struct Deferred {
    Request* request;
    std::size_t lane;
  };
  // Requests looked at beyond those that fit, so that one odd shape does not end every batch.
  static constexpr std::size_t kLookahead = 64;

  Request* take_head(Nanoseconds now);
  Request* pop_lane(std::size_t lane) noexcept;
  bool drop_if_answered(Request& request) noexcept;
  void drop_answered() noexcept;
  void begin_batch(Batch& batch, Request& head);
  void join_deferred(Batch& batch);
  void join_queued(Batch& batch, Nanoseconds now);
  bool try_join(Batch& batch, Request& candidate);
  void take_rows(Batch& batch, Request& request, std::int64_t rows);

  RequestPool& pool_;
  const BatcherConfig config_;
  RelaxedCounter& abandoned_;
  std::atomic<bool> batchable_;
  PriorityLanes lanes_;
  std::mutex former_mutex_;
  std::vector<Deferred> deferred_;              // guarded by former_mutex_
  std::atomic<std::size_t> deferred_count_{0};  // deferred_.size() for those without the lock
};

}  // namespace slipstream
