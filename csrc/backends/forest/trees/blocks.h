// Blocks: one row in trees of few levels, three levels at a time.
//
// The seven nodes of three levels lie together, as if there were always seven. All of them are
// decided at once, for eight trees in a register; the seven bits of a tree are looked up in a table
// that knows which of the eight ways out they mean. The upper three levels of all trees are read
// from end to end; of the lower three a row reads just the block that it has reached, which has
// its leaves' values beside it in the same cache line. So little is read that a row of hundreds
// of trees is no longer bound by the second-level cache, as a lockstep over all nodes is.
//
// For trees of up to six levels that have one value a leaf, and processors with a permutation of
// bytes. Threads: any, each with a scratch of its own. Ownership: shares the prepared trees.
#pragma once

#include <memory>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/prepared_trees.h"

namespace slipstream::forest {

// Null where the trees do not fit. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Evaluator> make_blocks(std::shared_ptr<const PreparedTrees> prepared);

}  // namespace slipstream::forest
