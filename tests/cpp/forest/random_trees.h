// Random ensembles and rows that hurt: every rule and comparison, values on thresholds and beside
// them, NaN, infinities, denormals, categories that exist and that do not.
//
// Threads: one. The same generator state gives the same trees and rows.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "forest/forest_writer.h"

namespace slipstream::forest {

using Random = std::mt19937_64;

// A number in [0, bound).
inline std::size_t below(Random& random, std::size_t bound) {
  return random() % bound;
}
inline bool chance(Random& random, std::size_t one_in) {
  return random() % one_in == 0;
}

struct TreeLimits {
  std::size_t features = 40;
  std::size_t trees = 30;
  std::size_t leaves = 300;  // of a tree
  std::size_t outputs = 5;
  std::size_t categories = 100;  // of a feature
};

[[nodiscard]] OwnedTrees random_trees(Random& random, const TreeLimits& limits);

// [rows, features] with values that the trees care about.
[[nodiscard]] std::vector<double> random_rows(Random& random, const OwnedTrees& trees,
                                              std::size_t rows);

}  // namespace slipstream::forest
