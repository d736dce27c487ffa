// Sums of trees that take turns at the outputs, which is how classifiers are boosted: tree t adds
// to output t mod outputs. The sums stay in registers; in memory each addition would wait for the
// store of the one before it.
#pragma once

#include <algorithm>
#include <cstddef>

#include "backends/forest/trees/ensemble.h"

namespace slipstream::forest {

inline constexpr std::size_t kMostTurns = 4;  // outputs

// Whether add_in_turns() can add up these trees.
[[nodiscard]] inline bool take_turns(const Ensemble& trees) noexcept {
  if (trees.leaf_width != 1 || trees.outputs > kMostTurns || trees.trees() % trees.outputs != 0) {
    return false;
  }
  for (std::size_t tree = 0; tree < trees.trees(); ++tree) {
    const std::int32_t output = trees.tree_output[tree];
    if (output >= 0 && static_cast<std::size_t>(output) != tree % trees.outputs) return false;
  }
  return true;
}

struct TreeRange {
  std::size_t begin = 0;  // a multiple of the outputs, as is `end`
  std::size_t end = 0;
};

// For each tree in order, sums[row][tree % Outputs] += value(row, tree).
template <std::size_t Outputs, std::size_t Rows, class Sum, class Value>
void add_in_turns_of(TreeRange trees, Value value, Sum* sums) noexcept {
  Sum sum[Rows * Outputs];
  std::copy_n(sums, Rows * Outputs, sum);
  for (std::size_t tree = trees.begin; tree < trees.end; tree += Outputs) {
    for (std::size_t output = 0; output < Outputs; ++output) {
      for (std::size_t row = 0; row < Rows; ++row) {
        sum[row * Outputs + output] += value(row, tree + output);
      }
    }
  }
  std::copy_n(sum, Rows * Outputs, sums);
}

// Precondition: the trees take turns at the outputs.
template <std::size_t Rows, class Sum, class Value>
void add_in_turns(std::size_t outputs, TreeRange trees, Value value, Sum* sums) noexcept {
  static_assert(kMostTurns == 4);
  switch (outputs) {
    case 1:
      return add_in_turns_of<1, Rows>(trees, value, sums);
    case 2:
      return add_in_turns_of<2, Rows>(trees, value, sums);
    case 3:
      return add_in_turns_of<3, Rows>(trees, value, sums);
    default:
      return add_in_turns_of<4, Rows>(trees, value, sums);
  }
}

}  // namespace slipstream::forest
