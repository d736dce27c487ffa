// LatencyModel: what a model's executions have cost, by shape and by number of rows.
//
// Decides what may run inline, what can meet its deadline, and (with the policy) how large a batch
// may be. Per shape and power of two of rows it keeps exponentially weighted averages of the time
// and of the rows; per shape one of the relative deviation. The mean and three deviations, the
// *tail*, is what TCP's retransmission timer makes of round trips (Jacobson and Karels 1988, RFC
// 6298; theirs is four, which in bench/sim refused more than it saved). The deviation is shared by
// all sizes: a size judged too slow by a few executions is not run any more, and nothing would ever
// correct a tail of its own.
// Executions are slow by accident (a cold start, a preempted thread) but never fast by accident, so
// one that took less than half of the mean replaces it, and one far above it counts as twice the
// mean. For the same reason sizes that were never run are taken to be quick: running them is the
// way to know.
//
// What it costs to run *inline*, on a thread that has just prepared the request, is learned apart:
// a worker that was asleep finds its core's caches cold, and takes several times as long for a
// small model. By its time such a model would look too slow to run inline, and nothing would ever
// correct that. Only where a worker was quicker, that counts for both.
//
// Threads: any. Reading and learning are lock-free and may see a value one update old; a shape that
// was never seen before takes a lock once. Bounded: past kShapes shapes, new ones are not learned
// and stay unknown.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/clock.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

// The averages of one shape. Pure once filled: what simulations and tests make themselves.
class LatencyCurve {
 public:
  // Sizes in (2^(i-1), 2^i] share bucket i; the last one takes everything larger.
  static constexpr std::size_t kBuckets = 18;
  [[nodiscard]] static std::size_t bucket_of(std::int64_t rows) noexcept;

  // Learns one execution. Two threads may do so at once and one observation be lost: an average
  // does not mind.
  void observe(std::int64_t rows, Nanoseconds execute_ns) noexcept;

  // The same of one on its caller's thread, which teaches inline_ns(), too.
  void observe_inline(std::int64_t rows, Nanoseconds execute_ns) noexcept;

  // What an execution of so many rows takes on its caller's thread, at most: the mean of those of
  // about so many rows, or of the next larger size that was seen. Where nothing of the kind ran
  // inline, what workers took. 0 where no size from there on was seen.
  [[nodiscard]] Nanoseconds inline_ns(std::int64_t rows) const noexcept;

  // The mean of executions of about so many rows; 0 while there was none.
  [[nodiscard]] Nanoseconds learned_ns(std::int64_t rows) const noexcept {
    return buckets_[bucket_of(rows)].mean_ns.value();
  }

  // What an execution of so many rows takes in the mean, and at worst. Between sizes that were seen
  // the time is a line, and no more than what a larger size took; above the largest it rises as
  // between the smallest and the largest, to twice the rows and not beyond. So it never falls as
  // `rows` grow. 0 while nothing was seen.
  [[nodiscard]] Nanoseconds mean_ns(std::int64_t rows) const noexcept;
  [[nodiscard]] Nanoseconds tail_ns(std::int64_t rows) const noexcept {
    return tail_of(mean_ns(rows));
  }
  // What executions take at worst whose mean is `mean`.
  [[nodiscard]] Nanoseconds tail_of(Nanoseconds mean) const noexcept {
    return mean + kTailDeviations * deviation_of(mean);
  }
  // Half way between the two. What a request needs that was admitted by the tail: the other half is
  // for what its queue did not foresee.
  [[nodiscard]] Nanoseconds likely_ns(std::int64_t rows) const noexcept {
    return mean_ns(rows) + kTailDeviations * deviation_of(mean_ns(rows)) / 2;
  }

  // The most rows, up to `limit`, whose mean (likely time) is within `budget_ns`; `limit` while
  // nothing was seen.
  [[nodiscard]] std::int64_t rows_of_mean(Nanoseconds budget_ns, std::int64_t limit) const noexcept;
  [[nodiscard]] std::int64_t rows_in_time(Nanoseconds budget_ns, std::int64_t limit) const noexcept;

 private:
  static constexpr std::int64_t kTailDeviations = 3;
  static constexpr std::int64_t kRowsScale = 16;            // fractions of a row that averages keep
  static constexpr std::int64_t kDeviationScale = 1 << 16;  // and of the mean
  static constexpr std::int64_t kFirstDeviation = kDeviationScale / 8;

  struct Bucket {
    RelaxedGauge<std::int64_t> mean_ns;  // 0: nothing seen
    RelaxedGauge<std::int64_t> scaled_rows;
    RelaxedGauge<std::int64_t> inline_ns;  // 0: none ran inline
  };

  [[nodiscard]] Nanoseconds deviation_of(Nanoseconds mean) const noexcept {
    return mean * scaled_deviation_.value() / kDeviationScale;
  }

  std::array<Bucket, kBuckets> buckets_;
  RelaxedGauge<std::int64_t> scaled_deviation_{kFirstDeviation};
};

class LatencyModel {
 public:
  // Learned time of executions of about `rows` rows of that shape; 0 while there was none.
  [[nodiscard]] Nanoseconds estimate_ns(std::uint64_t shape_key, std::int64_t rows) const noexcept {
    return curve(shape_key).learned_ns(rows);
  }

  // Of a shape that was never seen: an empty one.
  [[nodiscard]] const LatencyCurve& curve(std::uint64_t shape_key) const noexcept;

  void observe(std::uint64_t shape_key, std::int64_t rows, Nanoseconds execute_ns) noexcept;
  void observe_inline(std::uint64_t shape_key, std::int64_t rows, Nanoseconds execute_ns) noexcept;

 private:
  static constexpr std::size_t kShapes = 128;

  struct Shape {
    std::atomic<std::uint64_t> key{0};  // 0: free; written once
    LatencyCurve curve;
  };

  // Where that key is, or would be; null when every place is taken.
  [[nodiscard]] const Shape* find(std::uint64_t key) const noexcept;
  // The curve to teach, made at the first time; null when every place is taken.
  [[nodiscard]] LatencyCurve* learning(std::uint64_t shape_key) noexcept;

  std::array<Shape, kShapes> shapes_;
  LatencyCurve unknown_;  // stays empty
  std::mutex insert_mutex_;
};

}  // namespace slipstream
