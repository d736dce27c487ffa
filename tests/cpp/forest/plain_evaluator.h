// plain_sums: an ensemble node by node, straight from docs/forest-format.md and written apart from
// csrc/, so that a mistake would have to be made twice.
//
// Threads: any. Failure: none.
#pragma once

#include <cstddef>

#include "backends/forest/trees/ensemble.h"
#include "backends/forest/trees/evaluator.h"

namespace slipstream::forest {

// Writes [rows, outputs], float if the ensemble sums in float32, else double.
void plain_sums(const Ensemble& trees, const RowsView& x, std::size_t rows, void* out);

}  // namespace slipstream::forest
