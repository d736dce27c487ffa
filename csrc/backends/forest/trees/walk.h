// Walk: from the root of a tree to a leaf, many walks interleaved.
//
// A step is a load, a comparison and an addition; it waits for the one before it, so 16 walks (of
// one row through several trees, or of several rows through one tree) go on at once. Nodes take 4
// bytes where trees are small and bins fit 8 bits, else 8: 16-bit bins, or float32 keys where the
// library decides in float32, which spares deep forests the search for bins. Children are
// neighbours, so a step has no branch. Large batches go tree by tree, so that one tree stays in the
// first-level cache.
//
// Threads: any, each with a scratch of its own. Ownership: shares the prepared trees.
#pragma once

#include <memory>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/prepared_trees.h"

namespace slipstream::forest {

// Null if no node format can hold these trees. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Evaluator> make_walk(std::shared_ptr<const PreparedTrees> prepared);

}  // namespace slipstream::forest
