// What a library does to a value before its trees look at it, and how a node compares: the rules of
// docs/forest-format.md, written once. The vector kernels repeat them on many values at a time and
// are tested against this.
//
// Comparisons are made in float32 wherever that cannot change a decision, since twice as many fit
// in a register. A float64 value is rounded down to a float32 `key`, and so is every threshold. If
// the two differ, their order is that of the originals. If they are equal, the value is not above
// the threshold when it is a float32 itself; only otherwise do the originals have to be compared.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "backends/forest/trees/ensemble.h"

namespace slipstream::forest {

inline constexpr float kZeroThreshold = 1e-35F;  // LightGBM's kZeroThreshold

// The largest float32 that is not above x; -inf below the range. Not for NaN.
[[nodiscard]] inline float round_down(double x) noexcept {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) <= x) return nearest;
  return std::nextafterf(nearest, -std::numeric_limits<float>::infinity());
}

[[nodiscard]] inline bool is_near_zero(double x) noexcept {
  return std::fabs(x) <= static_cast<double>(kZeroThreshold);
}

// What a library that decides in float32 sees of x.
[[nodiscard]] inline double as_seen(double x, Comparison comparison) noexcept {
  return comparison == Comparison::kLessEqual64 ? x : static_cast<double>(static_cast<float>(x));
}

// x, as seen, after its rule; NaN means missing. Numeric rules only.
[[nodiscard]] inline double prepared(double x, Rule rule, bool zero_flush) noexcept {
  if (rule == Rule::kAsZero && std::isnan(x)) return 0.0;
  if (rule == Rule::kZeroToo && is_near_zero(x)) return std::numeric_limits<double>::quiet_NaN();
  if (zero_flush && is_near_zero(x)) return 0.0;
  return x;
}

// Whether a prepared value that is not missing goes left.
[[nodiscard]] inline bool goes_left(double x, double threshold, Comparison comparison) noexcept {
  switch (comparison) {
    case Comparison::kLessEqual64:
    case Comparison::kLessEqual64Of32:
      return x <= threshold;
    case Comparison::kLess32:
      return x < static_cast<double>(static_cast<float>(threshold));
  }
  return false;
}

[[nodiscard]] inline bool test_bit(std::span<const std::uint32_t> words, std::size_t start,
                                   std::size_t bit) noexcept {
  return ((words[start + bit / 32] >> (bit % 32)) & 1U) != 0;
}

// The code of a categorical value, as seen: its category, or count (other), or count + 1 (missing).
[[nodiscard]] inline std::uint32_t category_code(double x, std::size_t feature,
                                                 const Ensemble& trees) noexcept {
  const std::uint32_t count = trees.category_count[feature];
  const Rule rule = trees.rule_of(feature);
  const std::uint32_t other = rule == Rule::kCategoryKnown ? count + 1 : count;
  if (trees.zero_flush && is_near_zero(x)) x = 0.0;
  if (std::isnan(x)) return count + 1;
  if (rule == Rule::kCategoryTruncate ? x <= -1.0 : x < 0.0) return other;
  if (!(x < static_cast<double>(count))) return other;
  const auto code = static_cast<std::uint32_t>(x < 0.0 ? 0.0 : x);
  if (rule == Rule::kCategoryKnown &&
      !test_bit(trees.known_bits, trees.known_start[feature], code)) {
    return other;
  }
  return code;
}

}  // namespace slipstream::forest
