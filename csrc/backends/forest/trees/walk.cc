#include "backends/forest/trees/walk.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <queue>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "backends/forest/trees/levels.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kRowsAtOnce = 1024;  // share what a tree costs to bring near
constexpr std::size_t kMostBinsAtOnce = std::size_t{1} << 23;  // of all those rows together
constexpr std::size_t kFewRows = 8;  // up to here, a round goes over trees instead of rows
constexpr std::size_t kCacheLine = 64;

// The nodes of a tree in the order in which they are laid out: as many as fill a cache line from
// each subtree's root downwards, larger subtrees first, so that a walk finds its next steps in the
// line that it has just loaded (the blocking of van Emde Boas layouts, by line).
std::vector<std::uint32_t> by_cache_line(const Ensemble& trees, const TreeShape& shape,
                                         std::int32_t root, std::size_t nodes_a_line) {
  std::vector<std::uint32_t> order;
  if (root < 0) return order;
  const auto smaller = [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(shape.leaves_below[a], b) < std::pair(shape.leaves_below[b], a);
  };
  std::queue<std::uint32_t> blocks;
  blocks.push(static_cast<std::uint32_t>(root));
  while (!blocks.empty()) {
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, decltype(smaller)> open(smaller);
    open.push(blocks.front());
    blocks.pop();
    for (std::size_t count = 0; count < nodes_a_line && !open.empty(); ++count) {
      const std::uint32_t node = open.top();
      open.pop();
      order.push_back(node);
      for (const std::int32_t child : {trees.left[node], trees.right[node]}) {
        if (child >= 0) open.push(static_cast<std::uint32_t>(child));
      }
    }
    for (; !open.empty(); open.pop()) blocks.push(open.top());
  }
  return order;
}

// The leaves of one tree, each set of values once: most leaves of a grown-out classifier are pure.
class LeafValues {
 public:
  explicit LeafValues(const Ensemble& trees) : trees_(trees) {}

  void start_tree() { known_.clear(); }
  [[nodiscard]] std::size_t count() const noexcept { return known_.size(); }
  // The number of a leaf within its tree; new values are appended to `values`.
  template <class Sum>
  std::uint32_t add(std::int32_t link, std::vector<Sum, CacheLineAllocator<Sum>>& values) {
    const std::size_t width = trees_.leaf_width;
    const double* from = &trees_.leaf_value[leaf_of_link(link) * width];
    const std::string_view bytes(reinterpret_cast<const char*>(from), width * sizeof(double));
    const auto [at, is_new] = known_.try_emplace(bytes, static_cast<std::uint32_t>(known_.size()));
    if (is_new) {
      std::transform(from, from + width, std::back_inserter(values),
                     [](double value) { return static_cast<Sum>(value); });
    }
    return at->second;
  }

 private:
  const Ensemble& trees_;
  std::unordered_map<std::string_view, std::uint32_t> known_;
};

template <class Node, class Sum>
class Walk final : public Evaluator {
 public:
  using Value = typename Node::Value;
  // What the first levels are looked up in; keys (float) are walked from the root.
  using Lane = std::conditional_t<std::is_same_v<Value, float>, std::uint16_t, Value>;

  explicit Walk(std::shared_ptr<const PreparedTrees> prepared)
      : prepared_(std::move(prepared)), tops_(top_block_rows()) {
    const std::size_t trees = prepared_->trees.trees();
    LeafValues leaves(prepared_->trees);
    place_.resize(prepared_->trees.nodes());
    for (std::size_t tree = 0; tree < trees; ++tree) add_tree(tree, leaves);
    place_ = {};
  }

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t max_rows) const override {
    return std::make_unique<WalkScratch>(*this, std::min(max_rows, rows_at_once()));
  }

  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override {
    auto& memory = static_cast<WalkScratch&>(scratch);
    const Ensemble& trees = prepared_->trees;
    Sum* sums = static_cast<Sum*>(out);
    const std::size_t row_bytes = x.stride * (x.is_float32 ? sizeof(float) : sizeof(double));
    write_bases(trees, rows, sums);
    const std::size_t most = rows_at_once();
    for (std::size_t row = 0; row < rows; row += most) {
      const std::size_t count = std::min(most, rows - row);
      const RowsView part{static_cast<const std::byte*>(x.data) + row * row_bytes, x.stride,
                          x.is_float32};
      prepared_->binner.rows(part, count, memory.rows.data(), row_stride(), memory.memory.data());
      if (count <= kFewRows) {
        few_rows(count, sums + row * trees.outputs, memory);
      } else {
        many_rows(count, sums + row * trees.outputs, memory);
      }
    }
  }

 private:
  // The first levels of a tree, which many rows take side by side, and the nodes below them.
  struct Top {
    LevelTree levels;
    std::size_t first_start = 0;
  };
  struct WalkScratch final : Scratch {
    WalkScratch(const Walk& of, std::size_t max_rows)
        : rows(max_rows * of.row_stride()),
          ends(std::max(max_rows, of.trees_.size())),
          walks(ends.size()),
          planes(of.has_tops() ? of.row_stride() * round_up(max_rows, of.top_block_rows()) : 0),
          places(planes.empty() ? 0 : of.top_block_rows()),
          starts(planes.empty() ? 0 : max_rows),
          memory(of.prepared_->binner.memory_floats()) {}
    AlignedVector<Value> rows;
    std::vector<std::uint32_t> ends;
    std::vector<std::uint64_t> walks;
    AlignedVector<Lane> planes;  // [blocks][planes][block rows]
    AlignedVector<Lane> places;
    std::vector<std::uint32_t> starts;
    AlignedVector<float> memory;
  };

  [[nodiscard]] static std::size_t round_up(std::size_t value, std::size_t to) noexcept {
    return (value + to - 1) / to * to;
  }
  [[nodiscard]] std::size_t top_block_rows() const noexcept {
    return sizeof(Lane) == 1 ? prepared_->kernels.block_rows_8 : prepared_->kernels.block_rows_16;
  }
  [[nodiscard]] bool has_tops() const noexcept {
    if constexpr (std::is_same_v<Value, float>) return false;
    return sizeof(Lane) == 1 ? prepared_->kernels.levels_8 != nullptr
                             : prepared_->kernels.levels_16 != nullptr;
  }

  [[nodiscard]] std::size_t rows_at_once() const noexcept {
    return std::clamp<std::size_t>(kMostBinsAtOnce / row_stride(), 1, kRowsAtOnce);
  }
  [[nodiscard]] std::size_t row_stride() const noexcept {
    return prepared_->binner.row_stride<Value>();
  }

  void add_tree(std::size_t tree, LeafValues& leaves) {
    const Ensemble& trees = prepared_->trees;
    constexpr std::size_t kNodesALine = kCacheLine / sizeof(Node);
    leaves.start_tree();
    while (nodes_.size() * sizeof(Node) % kCacheLine >= sizeof(Node)) nodes_.push_back({});
    const auto order = by_cache_line(trees, prepared_->shape, trees.roots[tree], kNodesALine);
    trees_.push_back(
        {static_cast<std::uint32_t>(nodes_.size()), static_cast<std::uint32_t>(order.size())});
    first_value_.push_back(values_.size());
    for (std::size_t at = 0; at < order.size(); ++at) {
      place_[order[at]] = static_cast<std::uint32_t>(at);
    }
    const auto child = [&](std::int32_t link) {
      return static_cast<typename Node::Child>(link >= 0
                                                   ? place_[static_cast<std::size_t>(link)]
                                                   : order.size() + leaves.add(link, values_));
    };
    for (const std::uint32_t node : order) {
      const NodeTest& test = prepared_->planes.tests[node];
      Node made;
      made.plane = static_cast<decltype(made.plane)>(test.plane);
      made.test = test_of(test);
      made.child[0] = child(trees.left[node]);
      made.child[1] = child(trees.right[node]);
      nodes_.push_back(made);
    }
    if (order.empty()) child(trees.roots[tree]);
    add_top(tree, child);
    for (std::size_t leaf = 0; leaf < leaves.count(); ++leaf) {
      Node made;  // whichever way it goes
      made.child[0] = made.child[1] = static_cast<typename Node::Child>(order.size() + leaf);
      nodes_.push_back(made);
    }
  }

  // `number_of`: the node of a link within the tree.
  template <class NumberOf>
  void add_top(std::size_t tree, const NumberOf& number_of) {
    const std::uint32_t depth = std::min(prepared_->shape.depth[tree], kMostLevels);
    Top top{.levels = {}, .first_start = starts_.size()};
    if (has_tops() && depth != 0) {
      std::vector<std::int32_t> ends;
      top.levels = tops_.add(*prepared_, prepared_->trees.roots[tree], depth, ends);
      for (const std::int32_t link : ends) starts_.push_back(number_of(link));
    }
    top_of_.push_back(top);
  }

  [[nodiscard]] static Value test_of(const NodeTest& test) noexcept {
    if constexpr (std::is_same_v<Value, float>) {
      return test.key;
    } else {
      return static_cast<Value>(test.bin);
    }
  }

  [[nodiscard]] WalkTask<Node> task(WalkScratch& memory) const noexcept {
    WalkTask<Node> made;
    made.nodes = nodes_.data();
    made.trees = trees_.data();
    made.tree_count = trees_.size();
    made.rows = memory.rows.data();
    made.row_stride = row_stride();
    made.ends = memory.ends.data();
    made.walks = memory.walks.data();
    return made;
  }

  void few_rows(std::size_t rows, Sum* sums, WalkScratch& memory) const noexcept {
    const Ensemble& trees = prepared_->trees;
    WalkTask<Node> one = task(memory);
    for (std::size_t row = 0; row < rows; ++row, sums += trees.outputs) {
      walk_trees(one);
      for (std::size_t tree = 0; tree < trees.trees(); ++tree) {
        add_leaf(trees, tree, values_of(tree, memory.ends[tree]), sums);
      }
      one.rows += row_stride();
    }
  }

  void many_rows(std::size_t rows, Sum* sums, WalkScratch& memory) const noexcept {
    const Ensemble& trees = prepared_->trees;
    WalkTask<Node> one = task(memory);
    if (has_tops()) write_planes(rows, memory);
    for (std::size_t tree = 0; tree < trees.trees(); ++tree, ++one.trees) {
      one.starts = top_of_[tree].levels.depth != 0 ? descend(top_of_[tree], rows, memory) : nullptr;
      walk_rows(one, rows);
      for (std::size_t row = 0; row < rows; ++row) {
        add_leaf(trees, tree, values_of(tree, memory.ends[row]), sums + row * trees.outputs);
      }
    }
  }

  // The bins of all rows, plane by plane.
  void write_planes(std::size_t rows, WalkScratch& memory) const noexcept {
    const std::size_t block = top_block_rows();
    for (std::size_t row = 0; row < rows; ++row) {
      const Value* from = memory.rows.data() + row * row_stride();
      Lane* to = memory.planes.data() + row / block * block * row_stride() + row % block;
      for (std::size_t plane = 0; plane < prepared_->planes.count; ++plane) {
        to[plane * block] = static_cast<Lane>(from[plane]);
      }
    }
  }

  // The nodes below the first levels of a tree where each row goes on.
  const std::uint32_t* descend(const Top& top, std::size_t rows,
                               WalkScratch& memory) const noexcept {
    const std::size_t block = top_block_rows();
    LevelsTask<Lane> levels{.tree = top.levels,
                            .level_planes = tops_.planes(),
                            .level_thresholds = tops_.thresholds(),
                            .planes = memory.planes.data(),
                            .places = memory.places.data()};
    for (std::size_t row = 0; row < rows; row += block, levels.planes += block * row_stride()) {
      const std::size_t count = std::min(block, rows - row);
      if constexpr (sizeof(Lane) == 1) {
        prepared_->kernels.levels_8(levels, count);
      } else {
        prepared_->kernels.levels_16(levels, count);
      }
      for (std::size_t i = 0; i < count; ++i) {
        memory.starts[row + i] = starts_[top.first_start + memory.places[i]];
      }
    }
    return memory.starts.data();
  }

  [[nodiscard]] const Sum* values_of(std::size_t tree, std::uint32_t end) const noexcept {
    const std::size_t leaf = end - trees_[tree].inner_count;
    return values_.data() + first_value_[tree] + leaf * prepared_->trees.leaf_width;
  }

  void walk_trees(const WalkTask<Node>& one) const noexcept {
    const Kernels& kernels = prepared_->kernels;
    if constexpr (std::is_same_v<Node, Node4>) kernels.walk_trees_4(one);
    if constexpr (std::is_same_v<Node, Node8>) kernels.walk_trees_8(one);
    if constexpr (std::is_same_v<Node, Node12>) kernels.walk_trees_12(one);
    if constexpr (std::is_same_v<Node, NodeKey>) kernels.walk_trees_key(one);
  }
  void walk_rows(const WalkTask<Node>& one, std::size_t rows) const noexcept {
    const Kernels& kernels = prepared_->kernels;
    if constexpr (std::is_same_v<Node, Node4>) kernels.walk_rows_4(one, rows);
    if constexpr (std::is_same_v<Node, Node8>) kernels.walk_rows_8(one, rows);
    if constexpr (std::is_same_v<Node, Node12>) kernels.walk_rows_12(one, rows);
    if constexpr (std::is_same_v<Node, NodeKey>) kernels.walk_rows_key(one, rows);
  }

  std::shared_ptr<const PreparedTrees> prepared_;
  AlignedVector<Node> nodes_;
  std::vector<WalkTree> trees_;
  AlignedVector<Sum> values_;
  std::vector<std::size_t> first_value_;  // of each tree
  Levels<Lane> tops_;
  std::vector<Top> top_of_;  // of each tree
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint32_t> place_;  // of each node in its tree; only while building
};

template <class Node>
std::unique_ptr<Evaluator> make(std::shared_ptr<const PreparedTrees> prepared) {
  if (prepared->trees.float32_sums) return std::make_unique<Walk<Node, float>>(std::move(prepared));
  return std::make_unique<Walk<Node, double>>(std::move(prepared));
}

}  // namespace

std::unique_ptr<Evaluator> make_walk(std::shared_ptr<const PreparedTrees> prepared) {
  const Planes& planes = prepared->planes;
  const std::uint32_t most_leaves = prepared->shape.most_leaves;  // and fewer nodes
  const std::size_t most_nodes =
      prepared->trees.nodes() + prepared->trees.leaves() + 16 * prepared->trees.trees();
  if (most_nodes >= std::numeric_limits<std::uint32_t>::max()) return nullptr;
  if (planes.fits_8_bits() && planes.count <= 256 && most_leaves <= 128) {
    return make<Node4>(std::move(prepared));
  }
  if (planes.fits_16_bits() && planes.count <= 65'536) {
    if (most_leaves <= 32'768) return make<Node8>(std::move(prepared));
    return make<Node12>(std::move(prepared));
  }
  if (planes.keys_decide()) return make<NodeKey>(std::move(prepared));
  return nullptr;
}

}  // namespace slipstream::forest
