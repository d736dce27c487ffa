// Ensemble: the trees of one `trees` step as the file holds them (docs/forest-format.md),
// validated.
//
// The spans point into the mapped file (or wherever the maker keeps them), which outlives every
// user. Threads: any; nothing changes after validate().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace slipstream::forest {

inline constexpr std::size_t kMaxLinks = std::size_t{1} << 30;  // nodes, or leaves
inline constexpr std::uint32_t kMaxCategories = 1U << 24;

// How a node decides to go left.
enum class Comparison : std::uint8_t {
  kLessEqual64 = 0,      // x <= t in float64
  kLessEqual64Of32 = 1,  // x rounded to float32, then x <= t in float64
  kLess32 = 2,           // x < t, both float32
};

// What happens to a value before nodes see it.
enum class Rule : std::uint8_t {
  kDirected = 0,          // NaN goes where missing_left says
  kAsZero = 1,            // NaN is 0
  kZeroToo = 2,           // NaN and (nearly) 0 go where missing_left says
  kCategoryTruncate = 4,  // a category; truncated to an integer before its sign is looked at
  kCategorySign = 5,      // a category; negative values are `other`
  kCategoryKnown = 6,     // a category; negative and unknown values are missing
};

[[nodiscard]] constexpr bool is_category(Rule rule) noexcept {
  return rule >= Rule::kCategoryTruncate;
}

// The leaf that a link < 0 stands for.
[[nodiscard]] constexpr std::size_t leaf_of_link(std::int32_t link) noexcept {
  const std::int32_t leaf = ~link;
  return static_cast<std::size_t>(leaf);
}

struct Ensemble {
  std::uint32_t features = 0;    // columns of a row
  std::uint32_t outputs = 0;     // sums of a row
  std::uint32_t leaf_width = 1;  // 1, or `outputs`
  Comparison comparison = Comparison::kLessEqual64;
  bool zero_flush = false;
  bool float32_sums = false;

  std::span<const std::int32_t> roots;        // a link each: >= 0 inner node, < 0 leaf ~link
  std::span<const std::int32_t> tree_output;  // -1: leaves hold all outputs
  std::span<const std::int32_t> feature;
  std::span<const double> threshold;
  std::span<const std::int32_t> left;
  std::span<const std::int32_t> right;
  std::span<const std::uint8_t> missing_left;
  std::span<const double> leaf_value;  // [leaves, leaf_width]
  std::span<const std::uint8_t> rule;  // Rule of each feature
  std::span<const double> base;        // [outputs]
  std::span<const std::uint32_t> set_start;
  std::span<const std::uint32_t> set_bits;
  std::span<const std::uint32_t> category_count;
  std::span<const std::uint32_t> known_start;
  std::span<const std::uint32_t> known_bits;

  [[nodiscard]] std::size_t trees() const noexcept { return roots.size(); }
  [[nodiscard]] std::size_t nodes() const noexcept { return feature.size(); }
  [[nodiscard]] std::size_t leaves() const noexcept {
    return leaf_width == 0 ? 0 : leaf_value.size() / leaf_width;
  }
  [[nodiscard]] Rule rule_of(std::size_t column) const noexcept {
    return static_cast<Rule>(rule[column]);
  }

  // OK when every link, feature, output and set is in range, every inner node is linked to exactly
  // once by an earlier one or by a root, and no threshold is NaN. May allocate; throws
  // std::bad_alloc.
  [[nodiscard]] Status validate() const;
};

}  // namespace slipstream::forest
