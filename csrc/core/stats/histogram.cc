#include "core/stats/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace slipstream {

namespace histogram_detail {

// A value with its top bit at position e >= 5 is m * 2^(e-5) with m in [32, 64), so its bucket is
// (e - 5) * 32 + m; for smaller values, exponent 0 makes the bucket the value itself.
std::size_t bucket_of(Nanoseconds value) noexcept {
  const auto clamped = static_cast<std::uint64_t>(
      std::clamp<Nanoseconds>(value, 0, (Nanoseconds{1} << kRangeBits) - 1));
  const auto width = static_cast<unsigned>(std::bit_width(clamped));
  const unsigned shift = width > kSubBucketBits + 1 ? width - kSubBucketBits - 1 : 0;
  return shift * kSubBuckets + static_cast<std::size_t>(clamped >> shift);
}

Nanoseconds bucket_lowest(std::size_t bucket) noexcept {
  const std::size_t shift = bucket < 2 * kSubBuckets ? 0 : bucket / kSubBuckets - 1;
  return static_cast<Nanoseconds>(bucket - shift * kSubBuckets) << shift;
}

Nanoseconds bucket_highest(std::size_t bucket) noexcept {
  return bucket_lowest(bucket + 1) - 1;
}

}  // namespace histogram_detail

namespace {

using histogram_detail::bucket_highest;
using histogram_detail::bucket_lowest;
using histogram_detail::kBuckets;

std::uint64_t minus_or_zero(std::uint64_t a, std::uint64_t b) noexcept {
  return a > b ? a - b : 0;
}

}  // namespace

Nanoseconds HistogramSnapshot::percentile_ns(double percent) const noexcept {
  if (count == 0) return 0;
  const double fraction = percent > 0.0 ? std::min(percent, 100.0) / 100.0 : 0.0;  // NaN is 0
  // Rounding 99.9 / 100 * 1000 up to 999.0000001 must not move on to the next rank.
  constexpr double kRounding = 1.0 - 1e-12;
  const double exact_rank = std::ceil(fraction * static_cast<double>(count) * kRounding);
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact_rank), 1, count);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets[bucket];
    if (seen < rank) continue;
    const Nanoseconds lowest = bucket_lowest(bucket);
    return std::min(lowest + (bucket_highest(bucket) - lowest) / 2, max_ns);
  }
  return max_ns;
}

std::vector<std::uint64_t> HistogramSnapshot::counts_up_to(
    std::span<const Nanoseconds> bounds) const {
  std::vector<std::uint64_t> counts;
  counts.reserve(bounds.size());
  std::uint64_t below = 0;
  std::size_t bucket = 0;
  for (const Nanoseconds bound : bounds) {
    for (; bucket < kBuckets && bucket_highest(bucket) <= bound; ++bucket) below += buckets[bucket];
    counts.push_back(below);
  }
  return counts;
}

double HistogramSnapshot::mean_ns() const noexcept {
  return count == 0 ? 0.0 : static_cast<double>(sum_ns) / static_cast<double>(count);
}

HistogramSnapshot& HistogramSnapshot::operator+=(const HistogramSnapshot& other) noexcept {
  count += other.count;
  sum_ns += other.sum_ns;
  max_ns = std::max(max_ns, other.max_ns);
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket)
    buckets[bucket] += other.buckets[bucket];
  return *this;
}

// Saturating: two snapshots taken by different threads may each be newer in some bucket.
HistogramSnapshot& HistogramSnapshot::operator-=(const HistogramSnapshot& earlier) noexcept {
  count = 0;
  std::size_t highest_used = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    buckets[bucket] = minus_or_zero(buckets[bucket], earlier.buckets[bucket]);
    count += buckets[bucket];
    if (buckets[bucket] != 0) highest_used = bucket;
  }
  sum_ns = minus_or_zero(sum_ns, earlier.sum_ns);
  if (count == 0) {
    max_ns = 0;
  } else if (max_ns <= earlier.max_ns) {  // the maximum is older than the window, or as large
    max_ns = std::min(max_ns, bucket_highest(highest_used));
  }
  return *this;
}

void Histogram::record(Nanoseconds value) noexcept {
  const Nanoseconds counted = std::max<Nanoseconds>(value, 0);
  buckets_[histogram_detail::bucket_of(counted)].add();
  sum_ns_.add(static_cast<std::uint64_t>(counted));
  max_ns_.raise_to(static_cast<std::uint64_t>(counted));
}

HistogramSnapshot Histogram::snapshot() const noexcept {
  HistogramSnapshot result;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    result.buckets[bucket] = buckets_[bucket].value();
    result.count += result.buckets[bucket];
  }
  result.sum_ns = sum_ns_.value();
  result.max_ns = static_cast<Nanoseconds>(max_ns_.value());
  return result;
}

}  // namespace slipstream
