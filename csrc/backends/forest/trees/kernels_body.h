// The kernels, for the instruction set that the including file has chosen: it includes simd_X.h and
// defines SLIPSTREAM_SIMD as its namespace. Everything here lives in that namespace, so that no two
// builds of a function can be taken for one another when the library is linked.
#include <bit>
#include <cstring>

#include "backends/forest/trees/bin_body.h"
#include "backends/forest/trees/kernels.h"

namespace slipstream::forest::SLIPSTREAM_SIMD {
namespace {

// ---- sweep --------------------------------------------------------------------------------------

// The leaf of V vectors of rows in one tree. Nodes come parents first. A row is inside a node if
// and only if the leftmost leaf of the node is where the row stands, since whoever went right has
// left it.
template <class Lane, std::size_t V>
void sweep_tree(const SweepTask<Lane>& task, const SweepTree& tree, Lane* leaf_of_row) noexcept {
  using Ops = Vector<Lane>;
  constexpr std::size_t kBlock = Ops::kLanes * kVectors;
  typename Ops::Type at[V];
  for (std::size_t v = 0; v < V; ++v) at[v] = Ops::zero();
  const SweepNode<Lane>* node = task.nodes + tree.first_node;
  const SweepNode<Lane>* end = node + tree.node_count;
  for (; node != end; ++node) {
    const Lane* values = task.planes + std::size_t{node->plane} * kBlock;
    const auto threshold = Ops::splat(node->threshold);
    const auto low = Ops::splat(node->low);
    const auto middle = Ops::splat(node->middle);
    for (std::size_t v = 0; v < V; ++v) {
      at[v] = Ops::advance(at[v], low, values + v * Ops::kLanes, threshold, middle);
    }
  }
  for (std::size_t v = 0; v < V; ++v) Ops::store(leaf_of_row + v * Ops::kLanes, at[v]);
}

template <class Lane, class Sum>
void add_tree(const SweepTask<Lane>& task, const SweepTree& tree, const Lane* leaf_of_row,
              std::size_t rows) noexcept {
  constexpr std::size_t kBlock = Vector<Lane>::kLanes * kVectors;
  const Sum* leaves = static_cast<const Sum*>(task.leaves) + tree.first_leaf;
  Sum* sums = static_cast<Sum*>(task.sums);
  if (tree.output >= 0) {
    sums += static_cast<std::size_t>(tree.output) * kBlock;
    add_leaves(leaves, tree.leaf_count, leaf_of_row, sums, rows);
    return;
  }
  for (std::size_t k = 0; k < task.outputs; ++k) {
    for (std::size_t row = 0; row < rows; ++row) {
      sums[k * kBlock + row] += leaves[leaf_of_row[row] * task.outputs + k];
    }
  }
}

template <class Lane, std::size_t V, class Sum>
void sweep_vectors(const SweepTask<Lane>& task) noexcept {
  alignas(64) Lane leaf_of_row[V * Vector<Lane>::kLanes];
  for (std::size_t t = 0; t < task.tree_count; ++t) {
#if SLIPSTREAM_SIMD_LEVELS
    if (const SweepTree& tree = task.trees[t]; tree.levels.depth != 0) {
      descend_levels<Lane>(
          {tree.levels, task.level_planes, task.level_thresholds, task.planes, leaf_of_row},
          V * Vector<Lane>::kLanes);
    } else
#endif
      sweep_tree<Lane, V>(task, task.trees[t], leaf_of_row);
    add_tree<Lane, Sum>(task, task.trees[t], leaf_of_row, V * Vector<Lane>::kLanes);
  }
}

template <class Lane, class Sum>
void sweep_rows(const SweepTask<Lane>& task, std::size_t rows) noexcept {
  constexpr std::size_t kLanes = Vector<Lane>::kLanes;
  if (rows <= kLanes) return sweep_vectors<Lane, 1, Sum>(task);
  if (rows <= 2 * kLanes) return sweep_vectors<Lane, 2, Sum>(task);
  if (rows <= 4 * kLanes) return sweep_vectors<Lane, 4, Sum>(task);
  sweep_vectors<Lane, kVectors, Sum>(task);
}

template <class Lane>
void sweep(const SweepTask<Lane>& task, std::size_t rows) noexcept {
  if (task.float32_sums) {
    sweep_rows<Lane, float>(task, rows);
  } else {
    sweep_rows<Lane, double>(task, rows);
  }
}

// ---- walks --------------------------------------------------------------------------------------

template <class Value>
bool goes_right(Value value, Value test) noexcept {
  return value > test;
}
bool goes_right(float value, float test) noexcept {  // so does NaN
  return !(value <= test);
}

// Many rows in one tree, or one row in many trees: what walk number `i` reads.
template <class Node>
struct RowsInTree {
  const Node* tree;
  std::uint32_t inner;
  const typename Node::Value* rows;
  std::size_t stride;
  [[nodiscard]] const Node* nodes(std::size_t /*i*/) const noexcept { return tree; }
  [[nodiscard]] std::uint32_t inner_count(std::size_t /*i*/) const noexcept { return inner; }
  [[nodiscard]] const typename Node::Value* row(std::size_t i) const noexcept {
    return rows + i * stride;
  }
};
template <class Node>
struct TreesOfRow {
  const Node* all;
  const WalkTree* trees;
  const typename Node::Value* the_row;
  [[nodiscard]] const Node* nodes(std::size_t i) const noexcept {
    return all + trees[i].first_node;
  }
  [[nodiscard]] std::uint32_t inner_count(std::size_t i) const noexcept {
    return trees[i].inner_count;
  }
  [[nodiscard]] const typename Node::Value* row(std::size_t /*i*/) const noexcept {
    return the_row;
  }
};

constexpr int kSteps = 4;  // of one walk at a time: what a cache line of nodes is good for
constexpr std::size_t kWalks =
    8;  // side by side: a step takes as long to finish as 8 take to start

// Takes K walks some steps further; returns how many are kept in `walks[0…kept)`.
template <class Node, std::size_t K, class Items>
std::size_t some_steps(const Items& items, const std::uint64_t* from, std::uint32_t* ends,
                       std::uint64_t* walks, std::size_t kept) noexcept {
  std::size_t at[K];
#pragma GCC unroll 8
  for (std::size_t k = 0; k < K; ++k) at[k] = from[k] >> 32;
#pragma GCC unroll 8
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < K; ++k) {
      const auto number = static_cast<std::uint32_t>(from[k]);
      const Node& node = items.nodes(number)[at[k]];
      at[k] = node.child[goes_right(items.row(number)[node.plane], node.test) ? 1 : 0];
    }
  }
#pragma GCC unroll 8
  for (std::size_t k = 0; k < K; ++k) {
    const auto number = static_cast<std::uint32_t>(from[k]);
    ends[number] = static_cast<std::uint32_t>(at[k]);
    walks[kept] = std::uint64_t{at[k]} << 32 | number;
    kept += static_cast<std::size_t>(at[k] < items.inner_count(number));
  }
  return kept;
}

// Takes all walks some steps, again and again, and forgets those that have reached a leaf. Nothing
// branches on the data. A walk is its number and, in the upper half, its node.
template <class Node, class Items>
void walk(const Items& items, std::size_t count, std::uint32_t* ends,
          std::uint64_t* walks) noexcept {
  while (count > 0) {
    std::size_t kept = 0;
    std::size_t i = 0;
    for (; i + kWalks <= count; i += kWalks) {
      std::uint64_t from[kWalks];
      std::memcpy(from, walks + i, sizeof from);  // kept ones are written over them
      kept = some_steps<Node, kWalks>(items, from, ends, walks, kept);
    }
    for (; i < count; ++i) {
      const std::uint64_t from = walks[i];
      kept = some_steps<Node, 1>(items, &from, ends, walks, kept);
    }
    count = kept;
  }
}

template <class Node>
void walk_trees(const WalkTask<Node>& task) noexcept {
  for (std::size_t i = 0; i < task.tree_count; ++i) task.walks[i] = i;
  const TreesOfRow<Node> items{task.nodes, task.trees, task.rows};
  walk<Node>(items, task.tree_count, task.ends, task.walks);
}

// Returns how many rows have not reached a leaf before the walk.
template <class Node>
std::size_t start_walks(const WalkTask<Node>& task, std::size_t rows) noexcept {
  if (task.starts == nullptr) {
    for (std::size_t i = 0; i < rows; ++i) task.walks[i] = i;
    return rows;
  }
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    task.ends[i] = task.starts[i];
    task.walks[count] = std::uint64_t{task.starts[i]} << 32 | i;
    count += static_cast<std::size_t>(task.starts[i] < task.trees->inner_count);
  }
  return count;
}

template <class Node>
void walk_rows(const WalkTask<Node>& task, std::size_t rows) noexcept {
  const std::size_t walks = start_walks(task, rows);
  const RowsInTree<Node> items{task.nodes + task.trees->first_node, task.trees->inner_count,
                               task.rows, task.row_stride};
  walk<Node>(items, walks, task.ends, task.walks);
}

const Kernels kKernels = {
    .name = kName,
    .block_rows_8 = Vector<std::uint8_t>::kLanes * kVectors,
    .block_rows_16 = Vector<std::uint16_t>::kLanes * kVectors,
    .bin_rows_8 = bin_rows_8,
    .bin_rows_16 = bin_rows<std::uint16_t>,
    .bin_block_8 = bin_block<std::uint8_t>,
    .bin_block_16 = bin_block<std::uint16_t>,
    .key_rows = key_rows,
    .sweep_8 = sweep<std::uint8_t>,
    .sweep_16 = sweep<std::uint16_t>,
    .levels_8 = kLevels8,
    .levels_16 = kLevels16,
    .walk_trees_4 = walk_trees<Node4>,
    .walk_trees_8 = walk_trees<Node8>,
    .walk_trees_12 = walk_trees<Node12>,
    .walk_trees_key = walk_trees<NodeKey>,
    .walk_rows_4 = walk_rows<Node4>,
    .walk_rows_8 = walk_rows<Node8>,
    .walk_rows_12 = walk_rows<Node12>,
    .walk_rows_key = walk_rows<NodeKey>,
    .lockstep = kLockstep,
    .blocks = kBlocks,
};

}  // namespace

const Kernels& kernels() noexcept {
  return kKernels;
}

}  // namespace slipstream::forest::SLIPSTREAM_SIMD
