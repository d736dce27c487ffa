// Batcher: forms batches out of a model's lanes, for whichever instance has just become idle.
//
// There is no batching thread and no window: an idle instance takes what is there, and batches grow
// because instances are busy (work-conserving). One thread forms at a time; the others wait for the
// few hundred nanoseconds that takes. What is decided is in policy.h; here is what it takes.
//
// A request that cannot join the batch being formed (another shape, no room) waits in `deferred_`,
// a short list that only the former sees, and is considered first the next time. A request of more
// rows than one execution takes is split: each execution gets a range, the rest stays deferred.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "core/batch/batch.h"
#include "core/batch/latency_model.h"
#include "core/batch/policy.h"
#include "core/queue/due_order.h"
#include "core/queue/priority_lanes.h"
#include "core/queue/waiting_rows.h"
#include "core/request_pool.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

struct BatcherConfig {
  std::int64_t max_batch_rows = 64;
  bool batchable = true;
  std::size_t queue_capacity = 1024;  // requests per priority level
  std::int64_t instances = 1;         // that take batches
  PolicyConfig policy;
};

class Batcher {
 public:
  // Counts in `abandoned` the requests that were answered (cancelled, expired) while they waited.
  // `latency` is what executions teach, for deadlines to be held against.
  Batcher(RequestPool& pool, const BatcherConfig& config, const LatencyModel& latency,
          RelaxedCounter& abandoned);

  // Queues a request; the queue takes over the caller's reference. False when its lane is full.
  [[nodiscard]] bool try_push(Request& request) noexcept;

  // Fills `batch` with the next execution, and with the requests that are too late for any. False
  // when there is neither. Any thread. When nothing waits it costs a look at two cache lines.
  [[nodiscard]] bool form(Batch& batch, Nanoseconds now);

  // From now on requests run one by one: a batch gave an answer of another number of rows.
  void stop_batching() noexcept { batchable_.store(false); }
  [[nodiscard]] bool is_batching() const noexcept { return batchable_.load(); }

  // May be stale when they return.
  [[nodiscard]] bool approx_empty() const noexcept { return waiting_.is_none(); }
  [[nodiscard]] std::size_t approx_size() const noexcept {
    return deferred_count_.load(std::memory_order_acquire) + lanes_.approx_size();
  }
  // Whether as many rows wait as one execution takes; always where requests run one by one.
  [[nodiscard]] bool approx_fills_batch() const noexcept {
    return waiting_.from(0) >= (is_batching() ? max_batch_rows_.value() : 1);
  }
  // How many rows wait that a new request of that priority would not overtake.
  [[nodiscard]] std::int64_t approx_rows_ahead(int priority) const noexcept {
    return waiting_.from(lane_of(priority));
  }

  // What admission has to judge of a request. The answer refers to the latency model.
  [[nodiscard]] AdmissionQuestion admission_question(const RequestOptions& options,
                                                     std::int64_t rows, std::uint64_t shape_key,
                                                     Nanoseconds now) const noexcept;

  // Notes in a request, before it is pushed, what admission expected of it.
  static void note_expectation(Request& request, const AdmissionQuestion& question) noexcept {
    request.expected_wait_ns = expected_wait_ns(question);
    request.wait_begin_ns = std::max(question.now, question.instance_free_ns);
  }

  // An execution of that length begins on an instance whose batch was not formed here.
  void note_execution(Nanoseconds now, Nanoseconds execute_ns) noexcept {
    instance_free_ns_.set(now + execute_ns / instances_.value());
  }

  // Whether several requests shared an execution a moment ago. Callers that then compute by
  // themselves, one row at a time, leave smaller batches to all others.
  [[nodiscard]] bool is_crowded(Nanoseconds now) const noexcept {
    return now < crowded_until_ns_.value();
  }

  // Whether nothing waits. Exact once nobody pushes any more; blocks while a batch is formed.
  [[nodiscard]] bool is_drained() noexcept;

  // The most rows one execution takes of a request with these options that arrives now.
  [[nodiscard]] std::int64_t row_limit(const RequestOptions& options) const noexcept;

  // How many instances take batches, from now on.
  void set_instances(std::int64_t instances) noexcept { instances_.set(instances); }

  // From now on at least 1. Requests that wait and were not split run whole, as they were accepted.
  [[nodiscard]] std::int64_t max_batch_rows() const noexcept { return max_batch_rows_.value(); }
  void set_max_batch_rows(std::int64_t rows) noexcept {
    max_batch_rows_.set(std::max<std::int64_t>(rows, 1));
  }

 private:
  struct Deferred {
    Request* request;
    std::size_t lane;
  };
  // What is known of the batch being formed.
  struct Forming {
    Batch& batch;
    Nanoseconds now;
    HeadTimes heads;                      // of the lanes
    std::size_t held_back_below = 0;      // rows of lanes below it are held back
    const LatencyCurve* curve = nullptr;  // of the batch's shape
    std::int64_t held_back_rows = 0;      // to which they may fill the batch
    Nanoseconds full_end_ns = 0;          // when a full batch would end: earlier deadlines limit it
  };
  // A crowd is so many requests in one execution: with two callers, one waits while the other
  // computes, and nothing is lost. It is remembered for as long as so many executions take.
  static constexpr std::size_t kCrowd = 3;
  static constexpr Nanoseconds kCrowdExecutions = 16;

  // Requests looked at beyond those that fit, so that one odd shape does not end every batch.
  static constexpr std::size_t kLookahead = 64;

  // What a former knows of a lane, and remembers for the next.
  struct LaneState {
    DueOrder order;
    Nanoseconds mean_due_in_ns = 0;
    WaitRatio wait;
  };

  // Of a request that was accepted: one that was not split then is never split.
  [[nodiscard]] std::int64_t row_limit(const Request& request) const noexcept;
  [[nodiscard]] Nanoseconds due_of(const Request& request) const noexcept;
  Nanoseconds look_at_head(std::size_t lane) noexcept;
  Request* pop_ring(std::size_t lane) noexcept;
  Request* take_head(Forming& forming);
  Request* take_highest(Forming& forming);
  Request* pop_lane(Forming& forming, std::size_t lane) noexcept;
  bool drop_if_answered(Request& request) noexcept;
  void drop_answered() noexcept;
  [[nodiscard]] bool is_late(const Request& request, Nanoseconds now) const noexcept;
  [[nodiscard]] bool is_worth_it(const Request& request, Nanoseconds now) const noexcept;
  [[nodiscard]] const Request* peek_lane(std::size_t lane) const noexcept;
  [[nodiscard]] Nanoseconds next_deadline(std::size_t lane) const noexcept;
  void drop_late(Forming& forming, Request& request);
  void begin_batch(Forming& forming, Request& head);
  void set_limits(Forming& forming, const Request& head) noexcept;
  void join_deferred(Forming& forming);
  void join_queued(Forming& forming);
  bool try_join(Forming& forming, Request& candidate);
  void take_rows(Forming& forming, Request& request, std::int64_t rows);
  void learn_wait(const Request& request, Nanoseconds now) noexcept;

  RequestPool& pool_;
  const BatcherConfig config_;
  const LatencyModel& latency_;
  RelaxedCounter& abandoned_;
  std::atomic<bool> batchable_;
  RelaxedGauge<std::int64_t> max_batch_rows_;
  RelaxedGauge<std::int64_t> instances_;
  PriorityLanes lanes_;
  WaitingRows waiting_;
  // What formers leave for admission: when the next instance is expected to be free, and how far
  // waiting times of each lane are from what was expected, and how long after their arrival
  // requests are due in lanes that go by that (0: the lane goes by arrival).
  RelaxedGauge<Nanoseconds> instance_free_ns_;
  RelaxedGauge<Nanoseconds> crowded_until_ns_;
  std::array<RelaxedGauge<double>, kLaneCount> wait_ratios_;
  std::array<RelaxedGauge<Nanoseconds>, kLaneCount> mean_due_in_ns_;
  std::mutex former_mutex_;
  // Guarded by former_mutex_.
  std::vector<Deferred> deferred_;
  std::array<LaneState, kLaneCount> states_;
  std::array<Nanoseconds, kLaneCount> last_taken_ns_;  // when rows of that lane last ran
  std::size_t ordered_ = 0;                            // requests in the lanes' DueOrders
  // Requests that are in none of the rings; for those without the lock.
  std::atomic<std::size_t> deferred_count_{0};
};

}  // namespace slipstream
