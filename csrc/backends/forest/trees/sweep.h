// Sweep: every node of a tree, over a block of rows at a time.
//
// Rows lie in vector registers, one 8- or 16-bit lane each; a lane holds the leaf that its row has
// reached so far. A node moves the rows that stand at its leftmost leaf and go right to the
// leftmost leaf on its right: one masked comparison and one masked move for 64 rows, no branch, and
// no search for the exit leaf as bit-vectors need (QuickScorer, SIGIR 2015; RapidScorer, KDD 2018,
// from which the transposed layout and the lossless 8-bit bins are). The work is proportional to
// the nodes of a tree, not to its depth, so it suits trees of up to a few hundred leaves and
// batches that fill a vector.
//
// Threads: any, each with a scratch of its own. Ownership: shares the prepared trees.
#pragma once

#include <memory>
#include <vector>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/prepared_trees.h"

namespace slipstream::forest {

// Whether trees of so many leaves can be swept at all (bins and leaf numbers must fit a lane).
[[nodiscard]] bool can_sweep(const PreparedTrees& prepared) noexcept;

// Precondition: can_sweep(). Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Evaluator> make_sweep(std::shared_ptr<const PreparedTrees> prepared);

}  // namespace slipstream::forest
