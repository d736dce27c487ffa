// Histogram: how long things took, from 1 ns to 73 minutes, with 1.6% resolution and fixed memory.
//
// Log-linear buckets (as in HdrHistogram): below 32 ns one bucket a nanosecond, above it 32 equal
// buckets for every power of two. A percentile is the middle of its bucket, so it is off by at most
// 1/64 of the value; count, sum and maximum are exact.
//
// When to use: per-stage latencies that many threads record on the request path. When not: values
// that are no durations, or percentiles of a handful of samples (keep those).
// Threads: record and snapshot from any. A snapshot taken beside records may miss those in
// progress, and its sum may then cover a few values more or less than its count. Ownership: plain
// values. Failure: none; record never allocates, waits or calls the system. Cost: record is two
// relaxed additions and a load. Memory: 9.75 KB each, snapshots too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

namespace histogram_detail {

inline constexpr unsigned kSubBucketBits = 5;  // 32 buckets for every power of two
inline constexpr unsigned kRangeBits = 42;     // values from 2^42 ns (73 minutes) on share a bucket
inline constexpr std::size_t kSubBuckets = std::size_t{1} << kSubBucketBits;
inline constexpr std::size_t kBuckets = (kRangeBits - kSubBucketBits + 1) * kSubBuckets;

[[nodiscard]] std::size_t bucket_of(Nanoseconds value) noexcept;
// The smallest and the largest value that fall into a bucket.
[[nodiscard]] Nanoseconds bucket_lowest(std::size_t bucket) noexcept;
[[nodiscard]] Nanoseconds bucket_highest(std::size_t bucket) noexcept;

}  // namespace histogram_detail

// A Histogram at one moment, or the sum or difference of such. Not shared between threads.
struct HistogramSnapshot {
  std::uint64_t count = 0;
  std::uint64_t sum_ns = 0;
  // Exact, except in a difference whose window did not hold the maximum of the whole: there it is
  // the upper edge of the highest bucket used in the window (at most 3.2% too high).
  Nanoseconds max_ns = 0;
  std::array<std::uint64_t, histogram_detail::kBuckets> buckets{};

  // The value below or at which `percent` percent (0 to 100; 99.9 is p99.9) of the values lie, by
  // nearest rank. 0 when there are none. Values beyond the range count as 73 minutes here.
  [[nodiscard]] Nanoseconds percentile_ns(double percent) const noexcept;
  // How many values are at most each of `bounds`, which grow: exact where a bound is the highest
  // value of a bucket, as 2^k - 1 is.
  [[nodiscard]] std::vector<std::uint64_t> counts_up_to(std::span<const Nanoseconds> bounds) const;
  // 0 when there are none.
  [[nodiscard]] double mean_ns() const noexcept;

  // Adds the values of another histogram (another instance of the same model).
  HistogramSnapshot& operator+=(const HistogramSnapshot& other) noexcept;
  // Takes away an *earlier* snapshot of the same histogram: what remains is the window in between.
  HistogramSnapshot& operator-=(const HistogramSnapshot& earlier) noexcept;

  friend HistogramSnapshot operator+(HistogramSnapshot a, const HistogramSnapshot& b) noexcept {
    return a += b;
  }
  friend HistogramSnapshot operator-(HistogramSnapshot a, const HistogramSnapshot& b) noexcept {
    return a -= b;
  }
};

class Histogram {
 public:
  Histogram() noexcept = default;
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;
  ~Histogram() = default;

  // Negative values (two clocks that disagree) count as 0.
  void record(Nanoseconds value) noexcept;
  [[nodiscard]] HistogramSnapshot snapshot() const noexcept;

 private:
  // No count: it is the sum of the buckets, which saves an addition on every record.
  RelaxedCounter sum_ns_;
  RelaxedCounter max_ns_;
  std::array<RelaxedCounter, histogram_detail::kBuckets> buckets_;
};

}  // namespace slipstream
