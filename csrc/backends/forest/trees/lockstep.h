// Lockstep: one row against 64 trees at a time.
//
// The mirror image of the sweep: a lane is a tree instead of a row, and a step takes one node of
// each of 64 trees. With the bins of a row in one to four registers, a permutation of bytes looks
// up what these 64 nodes compare. Nodes go from left to right: the one between leaf k and leaf k +
// 1, if the row goes right there, rules out every leaf below it up to k; the leaf sought is the
// first that nothing rules out (Lucchese et al., QuickScorer, SIGIR 2015), so a lane need only
// remember the first one left so far. Three instructions a step, all memory read in order, nothing
// depends on the data. For single rows and small batches of trees with up to 256 leaves and 255
// planes.
//
// Threads: any, each with a scratch of its own. Ownership: shares the prepared trees.
#pragma once

#include <memory>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/prepared_trees.h"

namespace slipstream::forest {

// Null if these trees, or this processor, are not of that kind. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Evaluator> make_lockstep(
    std::shared_ptr<const PreparedTrees> prepared);

}  // namespace slipstream::forest
