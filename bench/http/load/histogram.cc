#include "histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace slipstream::load {
namespace {

constexpr int kCutBits = 7;  // each power of two is cut into 1 << kCutBits buckets
constexpr std::uint64_t kCuts = 1U << kCutBits;
constexpr std::size_t kBuckets = (64 - kCutBits) * kCuts + kCuts;

int shift_of(std::uint64_t ns) noexcept {
  return std::max(0, static_cast<int>(std::bit_width(ns)) - kCutBits - 1);
}

std::size_t bucket_of(std::uint64_t ns) noexcept {
  const int shift = shift_of(ns);
  return static_cast<std::size_t>(shift) * kCuts + static_cast<std::size_t>(ns >> shift);
}

// The first value of the bucket; that of the next one is where this one ends.
std::uint64_t start_of(std::size_t bucket) noexcept {
  if (bucket < 2 * kCuts) return bucket;
  const std::size_t shift = bucket / kCuts - 1;
  return (bucket - shift * kCuts) << shift;
}

}  // namespace

Histogram::Histogram() : counts_(kBuckets) {}

void Histogram::add(std::uint64_t ns) noexcept {
  ++counts_[bucket_of(ns)];
  ++count_;
  min_ = std::min(min_, ns);
  max_ = std::max(max_, ns);
  sum_ += static_cast<double>(ns);
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

double Histogram::percentile(double share) const noexcept {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(share * static_cast<double>(count_));
  const std::uint64_t rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen < rank) continue;
    const auto first = static_cast<double>(start_of(bucket));
    const auto last = static_cast<double>(start_of(bucket + 1) - 1);
    return std::clamp((first + last) / 2, static_cast<double>(min_), static_cast<double>(max_));
  }
  return static_cast<double>(max_);
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Histogram::buckets() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    if (counts_[bucket] != 0) found.emplace_back(start_of(bucket + 1), counts_[bucket]);
  }
  return found;
}

}  // namespace slipstream::load
