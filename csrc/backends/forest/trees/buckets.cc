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
// How many of the least and of the largest thresholds may lie outside the range that is cut, so
// that a few far from the others do not spoil it. They share the outermost bucket with those
// within.
constexpr std::array<std::size_t, 4> kOutside{6, 4, 2, 0};
constexpr std::size_t kMostDense = 256;  // planes
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Scale {
  float low = 0.0F;
  float scale = 0.0F;
  float last = 0.0F;
};

// `count` buckets over the finite thresholds but the outermost; one bucket if they have no range
// that floats can cut.
Scale scale_over(std::span<const double> thresholds, std::uint32_t count, std::size_t outside) {
  Scale one;
  if (thresholds.size() > 4 * outside) {
    thresholds = thresholds.subspan(outside, thresholds.size() - 2 * outside);
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

Cut cut_into(std::span<const double> thresholds, std::uint32_t count, std::size_t outside) {
  Cut cut{.scale = scale_over(thresholds, count, outside), .buckets = count};
  std::vector<std::uint32_t> inside(count, 0);
  for (const double threshold : thresholds) {
    const std::uint32_t bucket =
        bucket_of(static_cast<float>(threshold), cut.scale.low, cut.scale.scale, cut.scale.last);
    cut.most = std::max(cut.most, ++inside[bucket]);
  }
  return cut;
}

// As few buckets as leave one window of thresholds in each; if none do, those that crowd least.
Cut best_cut(std::span<const double> thresholds) {
  Cut best;
  best.most = std::numeric_limits<std::uint32_t>::max();
  for (const std::uint32_t count : kBucketCounts) {
    for (const std::size_t outside : kOutside) {
      const Cut cut = cut_into(thresholds, count, outside);
      if (cut.most < best.most) best = cut;
      if (best.most <= kWindow) return best;
    }
  }
  return best;
}

}  // namespace

Buckets::Buckets(const Planes& planes, std::size_t features) {
  const std::size_t padded = (features + 15) / 16 * 16;
  low_.resize(padded, 0.0F);
  scale_.resize(padded, 0.0F);
  last_.resize(padded, 0.0F);
  first_bucket_.resize(padded, 0);
  for (const NumericColumn& column : planes.columns) add(planes, column);
  if (!columns_.empty() && planes.count < kMostDense) dense_.emplace(planes, columns_);
}

void Buckets::add(const Planes& planes, const NumericColumn& from) {
  const std::span<const double> thresholds(planes.exact.data() + from.first_exact, from.count);
  const Cut cut = best_cut(thresholds);
  const std::uint32_t windows = std::max<std::uint32_t>((cut.most + kWindow - 1) / kWindow, 1);
  const auto first_threshold =
      static_cast<std::uint32_t>(planes.keys_decide() ? floats_.size() : doubles_.size());
  BucketColumn made{.first_threshold = first_threshold,
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
  first_bucket_[from.feature] = static_cast<std::uint32_t>(starts_.size());
  std::size_t below = 0;
  for (std::uint32_t bucket = 0; bucket < cut.buckets; ++bucket) {
    while (below < thresholds.size() &&
           bucket_of(static_cast<float>(thresholds[below]), cut.scale.low, cut.scale.scale,
                     cut.scale.last) < bucket) {
      ++below;
    }
    starts_.push_back(first_threshold + static_cast<std::uint32_t>(below));
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
          .last = last_.data(),
          .first_bucket = first_bucket_.data(),
          .dense = dense_ ? dense_->task() : DenseBins{}};
}

Buckets::Dense::Dense(const Planes& of, const std::vector<BucketColumn>& columns)
    : planes(of.count),
      feature((columns.size() + 7) / 8 * 8, columns.front().feature),
      first_threshold(kMostDense, 0),
      plane_column(kMostDense, 0) {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const BucketColumn& column = columns[c];
    for (const std::uint32_t plane : {column.plane_right, column.plane_left}) {
      if (plane < planes) plane_column[plane] = static_cast<std::uint8_t>(c);
    }
    feature[c] = column.feature;
    first_threshold[c] = static_cast<std::uint8_t>(column.first_threshold);
    if (column.more_windows == 0) continue;
    crowded.insert(crowded.end(), {static_cast<std::uint16_t>(c), column.more_windows});
  }
}

DenseBins Buckets::Dense::task() const noexcept {
  return {.columns = feature.size(),
          .feature = feature.data(),
          .first_threshold = first_threshold.data(),
          .planes = planes,
          .plane_column = plane_column.data(),
          .crowded = crowded.data(),
          .crowded_count = crowded.size() / 2};
}

}  // namespace slipstream::forest
