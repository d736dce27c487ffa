#include "backends/forest/trees/buckets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

namespace slipstream::forest {
namespace {

constexpr std::array<std::uint32_t, 5> kBucketCounts{16, 32, 64, 128, 256};
constexpr std::uint32_t kMostWindows = 4;  // beyond, a search is quicker
// What an outermost bucket has room for may lie outside the range that is cut, so that a few
// thresholds far from the others do not spoil it.
constexpr std::size_t kOutside = kWindow - 1;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Scale {
  float low = 0.0F;
  float scale = 0.0F;
  float last = 0.0F;
};

// `count` buckets over the finite thresholds; one bucket if they have no range that floats can cut.
Scale scale_over(std::span<const double> thresholds, std::uint32_t count) {
  Scale one;
  if (thresholds.size() > 4 * kOutside) {
    thresholds = thresholds.subspan(kOutside, thresholds.size() - 2 * kOutside);
  }
  bool is_first = true;
  float high = 0.0F;
  for (const double threshold : thresholds) {
    const auto key = static_cast<float>(threshold);
    if (!std::isfinite(key)) continue;
    if (is_first) one.low = key;
    is_first = false;
    high = key;
  }
  const float scale = static_cast<float>(count) / (high - one.low);
  if (!(high > one.low) || !std::isfinite(high - one.low) || !std::isfinite(scale)) return one;
  one.scale = scale;
  one.last = static_cast<float>(count - 1);
  return one;
}

struct Cut {
  Scale scale;
  std::uint32_t buckets = 1;
  std::uint32_t most = 0;  // thresholds in one bucket
};

Cut cut_into(std::span<const double> thresholds, std::uint32_t count) {
  Cut cut{.scale = scale_over(thresholds, count), .buckets = count};
  std::vector<std::uint32_t> inside(count, 0);
  for (const double threshold : thresholds) {
    const std::uint32_t bucket =
        bucket_of(static_cast<float>(threshold), cut.scale.low, cut.scale.scale, cut.scale.last);
    cut.most = std::max(cut.most, ++inside[bucket]);
  }
  return cut;
}

// As few buckets as leave one window of thresholds in each; if none do, the most.
Cut best_cut(std::span<const double> thresholds) {
  Cut cut;
  for (const std::uint32_t count : kBucketCounts) {
    cut = cut_into(thresholds, count);
    if (cut.most <= kWindow) break;
  }
  return cut;
}

}  // namespace

Buckets::Buckets(const Planes& planes, std::size_t features) {
  const std::size_t padded = (features + 15) / 16 * 16;
  low_.resize(padded, 0.0F);
  scale_.resize(padded, 0.0F);
  last_.resize(padded, 0.0F);
  for (const NumericColumn& column : planes.columns) add(planes, column);
}

void Buckets::add(const Planes& planes, const NumericColumn& from) {
  const std::span<const double> thresholds(planes.exact.data() + from.first_exact, from.count);
  const Cut cut = best_cut(thresholds);
  const std::uint32_t windows = std::max<std::uint32_t>((cut.most + kWindow - 1) / kWindow, 1);
  BucketColumn made{.first_threshold = static_cast<std::uint32_t>(
                        planes.keys_decide() ? floats_.size() : doubles_.size()),
                    .first_start = static_cast<std::uint32_t>(starts_.size()),
                    .feature = from.feature,
                    .count = static_cast<std::uint16_t>(from.count),
                    .more_windows = static_cast<std::uint16_t>(windows - 1),
                    .plane_right = from.plane_right != kNoPlane ? from.plane_right : planes.count,
                    .plane_left = from.plane_left != kNoPlane ? from.plane_left : planes.count};
  columns_.push_back(made);
  most_windows_ = std::max(most_windows_, windows);
  low_[from.feature] = cut.scale.low;
  scale_[from.feature] = cut.scale.scale;
  last_[from.feature] = cut.scale.last;
  std::size_t below = 0;
  for (std::uint32_t bucket = 0; bucket < cut.buckets; ++bucket) {
    while (below < thresholds.size() &&
           bucket_of(static_cast<float>(thresholds[below]), cut.scale.low, cut.scale.scale,
                     cut.scale.last) < bucket) {
      ++below;
    }
    starts_.push_back(static_cast<std::uint8_t>(below));
  }
  const std::size_t padding = std::size_t{windows} * kWindow;
  if (planes.keys_decide()) {
    std::ranges::transform(thresholds, std::back_inserter(floats_),
                           [](double threshold) { return static_cast<float>(threshold); });
    floats_.insert(floats_.end(), padding, static_cast<float>(kInfinity));
  } else {
    doubles_.insert(doubles_.end(), thresholds.begin(), thresholds.end());
    doubles_.insert(doubles_.end(), padding, kInfinity);
  }
}

BucketTask Buckets::task() const noexcept {
  if (most_windows_ > kMostWindows) return {};
  return {.columns = columns_.data(),
          .column_count = columns_.size(),
          .doubles = doubles_.data(),
          .floats = floats_.data(),
          .starts = starts_.data(),
          .low = low_.data(),
          .scale = scale_.data(),
          .last = last_.data()};
}

}  // namespace slipstream::forest
