// PreparedTrees: what every fast algorithm starts from, made once per ensemble and shared by them.
//
// Threads: any, once built. Ownership: refers to the ensemble's memory.
#pragma once

#include "backends/forest/trees/binner.h"
#include "backends/forest/trees/ensemble.h"
#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/layout.h"
#include "backends/forest/trees/planes.h"

namespace slipstream::forest {

struct PreparedTrees {
  // Throws std::bad_alloc.
  PreparedTrees(const Ensemble& ensemble, const Kernels& chosen)
      : trees(ensemble),
        kernels(chosen),
        planes(make_planes(trees)),
        shape(shape_of(trees)),
        binner(trees, planes, kernels) {}
  PreparedTrees(const PreparedTrees&) = delete;
  PreparedTrees& operator=(const PreparedTrees&) = delete;

  const Ensemble trees;
  const Kernels& kernels;
  const Planes planes;
  const TreeShape shape;
  const Binner binner;
};

// out[row][output] = base[output], in the precision of the sums.
template <class Sum>
void write_bases(const Ensemble& trees, std::size_t rows, Sum* out) noexcept {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t k = 0; k < trees.outputs; ++k) {
      out[row * trees.outputs + k] = static_cast<Sum>(trees.base[k]);
    }
  }
}

// Adds one leaf of tree `tree` to the sums of one row.
template <class Sum>
void add_leaf(const Ensemble& trees, std::size_t tree, const Sum* values, Sum* sums) noexcept {
  const std::int32_t output = trees.tree_output[tree];
  if (output >= 0) {
    sums[output] += values[0];
    return;
  }
  for (std::size_t k = 0; k < trees.outputs; ++k) sums[k] += values[k];
}

}  // namespace slipstream::forest
