#include "backends/forest/trees/planes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "backends/forest/trees/value.h"

namespace slipstream::forest {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Nothing is below minus infinity: of `x < -inf` only the way of missing values is left.
bool never_left(double threshold, Comparison comparison) noexcept {
  return comparison == Comparison::kLess32 &&
         static_cast<float>(threshold) == -std::numeric_limits<float>::infinity();
}

// The value that thresholds of one feature are sorted and told apart by.
double ordering(double threshold, Comparison comparison) noexcept {
  if (comparison == Comparison::kLessEqual64) return threshold + 0.0;  // -0 and 0 are one
  return static_cast<double>(threshold_key(threshold, comparison)) + 0.0;
}

// Appends the search tree over sorted `thresholds`.
void add_search_tree(Planes& planes, NumericColumn& column, std::span<const double> thresholds) {
  std::size_t capacity = kFanOut;
  column.levels = 1;
  while (capacity <= thresholds.size()) {  // strictly more room than thresholds
    capacity *= kFanOut;
    ++column.levels;
  }
  column.count = static_cast<std::uint32_t>(thresholds.size());
  column.first_key = static_cast<std::uint32_t>(planes.keys.size());
  column.first_exact = static_cast<std::uint32_t>(planes.exact.size());
  std::vector<float> keys(capacity, kInfinity);
  std::ranges::transform(thresholds, keys.begin(),
                         [&](double t) { return threshold_key(t, planes.comparison); });
  if (planes.comparison != Comparison::kLessEqual64) {  // these are keys already
    std::ranges::transform(thresholds, keys.begin(),
                           [](double t) { return static_cast<float>(t); });
  }
  for (std::size_t stride = capacity / kFanOut; stride >= 1; stride /= kFanOut) {
    // An entry of a level is the last one of the block below it that it stands for.
    for (std::size_t at = stride; at <= capacity; at += stride) {
      planes.keys.push_back(keys[at - 1]);
    }
  }
  planes.exact.insert(planes.exact.end(), thresholds.begin(), thresholds.end());
}

struct FeatureUse {
  std::vector<double> thresholds;
  bool left = false;   // some node sends missing values left
  bool right = false;  // some node sends them right
};

std::vector<FeatureUse> uses_of(const Ensemble& trees) {
  std::vector<FeatureUse> uses(trees.features);
  for (std::size_t node = 0; node < trees.nodes(); ++node) {
    const auto feature = static_cast<std::size_t>(trees.feature[node]);
    if (is_category(trees.rule_of(feature))) continue;
    if (never_left(trees.threshold[node], trees.comparison)) continue;
    FeatureUse& use = uses[feature];
    use.thresholds.push_back(ordering(trees.threshold[node], trees.comparison));
    (trees.missing_left[node] != 0 ? use.left : use.right) = true;
  }
  for (std::size_t f = 0; f < trees.features; ++f) {
    FeatureUse& use = uses[f];
    std::ranges::sort(use.thresholds);
    const auto again = std::ranges::unique(use.thresholds);
    use.thresholds.erase(again.begin(), again.end());
    // NaN is 0 there, so nothing is ever missing: one plane serves both.
    if (trees.rule_of(f) == Rule::kAsZero && use.left && use.right) use.left = false;
  }
  return uses;
}

class NodeTests {
 public:
  NodeTests(Planes& planes, const Ensemble& trees, const std::vector<FeatureUse>& uses)
      : planes_(planes), trees_(trees), uses_(uses), column_of_(trees.features, nullptr) {
    for (const NumericColumn& column : planes.columns) column_of_[column.feature] = &column;
  }

  [[nodiscard]] NodeTest test(std::size_t node) {
    const auto feature = static_cast<std::uint32_t>(trees_.feature[node]);
    const double threshold = trees_.threshold[node];
    if (is_category(trees_.rule_of(feature))) {
      return {plane_of_set(feature, static_cast<std::int64_t>(threshold)), 0, 0.0F};
    }
    const bool missing_left = trees_.missing_left[node] != 0;
    if (never_left(threshold, trees_.comparison)) {
      // Everything goes right; without missing values going left, an empty test says the same.
      return {plane_of_set(feature, missing_left ? kMissingLeft : kNothingLeft), 0, 0.0F};
    }
    const NumericColumn& column = *column_of_[feature];
    const std::uint32_t wanted = missing_left ? column.plane_left : column.plane_right;
    const std::uint32_t other = missing_left ? column.plane_right : column.plane_left;
    const double order = ordering(threshold, trees_.comparison);
    const auto& all = uses_[feature].thresholds;
    const auto bin = std::ranges::lower_bound(all, order) - all.begin();
    const float key = trees_.comparison == Comparison::kLessEqual64
                          ? threshold_key(threshold, trees_.comparison)
                          : static_cast<float>(order);
    return {wanted != kNoPlane ? wanted : other, static_cast<std::uint32_t>(bin), key};
  }

 private:
  std::uint32_t plane_of_set(std::uint32_t feature, std::int64_t set) {
    const auto [at, is_new] = set_planes_.try_emplace({feature, set}, planes_.count);
    if (is_new) planes_.sets.push_back({feature, set, planes_.count++});
    return at->second;
  }

  Planes& planes_;
  const Ensemble& trees_;
  const std::vector<FeatureUse>& uses_;
  std::vector<const NumericColumn*> column_of_;
  std::map<std::pair<std::uint32_t, std::int64_t>, std::uint32_t> set_planes_;
};

}  // namespace

float threshold_key(double threshold, Comparison comparison) noexcept {
  if (comparison != Comparison::kLess32) return round_down(threshold) + 0.0F;
  return std::nextafterf(static_cast<float>(threshold), -kInfinity);
}

Planes make_planes(const Ensemble& trees) {
  Planes planes;
  planes.comparison = trees.comparison;
  planes.zero_flush = trees.zero_flush;
  const std::vector<FeatureUse> uses = uses_of(trees);
  for (std::size_t f = 0; f < trees.features; ++f) {
    if (uses[f].thresholds.empty()) continue;
    NumericColumn column;
    column.feature = static_cast<std::uint32_t>(f);
    column.rule = trees.rule_of(f);
    if (uses[f].right) column.plane_right = planes.count++;
    if (uses[f].left) column.plane_left = planes.count++;
    add_search_tree(planes, column, uses[f].thresholds);
    planes.most_bins = std::max(planes.most_bins, column.count);
    planes.columns.push_back(column);
  }
  NodeTests tests(planes, trees, uses);
  planes.tests.reserve(trees.nodes());
  for (std::size_t node = 0; node < trees.nodes(); ++node) {
    planes.tests.push_back(tests.test(node));
  }
  std::ranges::stable_sort(planes.sets, {}, &SetPlane::feature);
  return planes;
}

}  // namespace slipstream::forest
