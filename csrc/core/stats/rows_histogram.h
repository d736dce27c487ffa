// RowsHistogram: how many rows executions had, counted in powers of two.
//
// When to use: sizes of batches, for a page of statistics. When not: durations (histogram.h).
// Threads: record and the readers from any; a reading beside records may miss those in progress.
// Ownership: plain values. Failure: none. Cost: record is two relaxed additions. Memory: 176 bytes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/stats/relaxed_counter.h"

namespace slipstream {

class RowsHistogram {
 public:
  static constexpr std::size_t kBuckets = 21;  // at most 1, 2, 4, ... 2^20 rows; more counts there

  void record(std::int64_t rows) noexcept {
    buckets_[bucket_of(rows)].add();
    rows_.add(static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 0)));
  }

  // Executions of at most 2^bucket rows that had more than half as many.
  [[nodiscard]] std::uint64_t in_bucket(std::size_t bucket) const noexcept {
    return buckets_[bucket].value();
  }
  // All executions.
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t count = 0;
    for (const RelaxedCounter& bucket : buckets_) count += bucket.value();
    return count;
  }
  // Rows of all executions.
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_.value(); }

  [[nodiscard]] static std::size_t bucket_of(std::int64_t rows) noexcept {
    if (rows <= 1) return 0;
    const auto exponent = std::bit_width(static_cast<std::uint64_t>(rows - 1));
    return std::min(static_cast<std::size_t>(exponent), kBuckets - 1);
  }

 private:
  std::array<RelaxedCounter, kBuckets> buckets_;
  RelaxedCounter rows_;
};

}  // namespace slipstream
