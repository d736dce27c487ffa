#include "backends/forest/trees/sweep.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "backends/forest/trees/levels.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kMostLeaves = 1024;  // above, walks are quicker on any batch
constexpr std::size_t kMostLeaves8 = 256;
constexpr std::size_t kMostPlanes = 65'536;  // these two times a block of rows are its memory
constexpr std::size_t kMostOutputs = 4096;
// A vector of leaves is loaded whole, however many a tree has.
constexpr std::size_t kLeafPadding = 16;
constexpr std::size_t kTablePadding = 64;
// What a vector of rows costs, in units of a node that is swept: two comparisons and a move. A
// level's place costs a load and a choice; a level beside, what all of it waits for.
constexpr double kCostOfPlace = 0.3;
constexpr double kCostOfLevel = 1.0;
constexpr std::size_t kMostPlacesALeaf = 4;  // on average, where a tree goes by levels: 1 / 0.3

std::size_t round_up(std::size_t value, std::size_t to) noexcept {
  return (value + to - 1) / to * to;
}

template <class Lane, class Sum>
class Sweep final : public Evaluator {
 public:
  explicit Sweep(std::shared_ptr<const PreparedTrees> prepared)
      : prepared_(std::move(prepared)), levels_(block_rows()) {
    const Ensemble& trees = prepared_->trees;
    low_.resize(trees.nodes());
    for (std::size_t tree = 0; tree < trees.trees(); ++tree) add_tree(tree);
    leaves_.resize(leaves_.size() + kTablePadding * trees.leaf_width);
    low_ = {};
  }

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t /*max_rows*/) const override {
    return std::make_unique<SweepScratch>(*this);
  }

  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override {
    auto& memory = static_cast<SweepScratch&>(scratch);
    const std::size_t width = prepared_->trees.outputs;
    for (std::size_t row = 0; row < rows; row += block_rows()) {
      const std::size_t count = std::min(block_rows(), rows - row);
      const std::size_t offset = row * x.stride;
      const RowsView part{x.is_float32
                              ? static_cast<const void*>(static_cast<const float*>(x.data) + offset)
                              : static_cast<const double*>(x.data) + offset,
                          x.stride, x.is_float32};
      sum_block(part, count, static_cast<Sum*>(out) + row * width, memory);
    }
  }

 private:
  struct SweepScratch final : Scratch {
    explicit SweepScratch(const Sweep& of)
        : planes((of.prepared_->planes.count + std::size_t{1}) * of.block_rows()),
          sums(of.prepared_->trees.outputs * of.block_rows()),
          memory(of.prepared_->binner.memory_floats()) {}
    AlignedVector<Lane> planes;
    AlignedVector<Sum> sums;
    AlignedVector<float> memory;
  };

  [[nodiscard]] std::size_t block_rows() const noexcept {
    return std::is_same_v<Lane, std::uint8_t> ? prepared_->kernels.block_rows_8
                                              : prepared_->kernels.block_rows_16;
  }

  [[nodiscard]] bool goes_by_levels(std::size_t tree) const noexcept {
    const Kernels& kernels = prepared_->kernels;
    const bool can = std::is_same_v<Lane, std::uint8_t> ? kernels.levels_8 != nullptr
                                                        : kernels.levels_16 != nullptr;
    const std::uint32_t depth = prepared_->shape.depth[tree];
    if (!can || depth == 0 || depth > kMostLevels) return false;
    return kCostOfPlace * ((1 << depth) - 1) + kCostOfLevel * depth <
           static_cast<double>(prepared_->shape.tree(tree).size());
  }

  // A tree of few levels: its leaves are numbered by place.
  void add_levels(std::size_t tree) {
    const Ensemble& trees = prepared_->trees;
    std::vector<std::int32_t> ends;
    SweepTree made;
    made.levels = levels_.add(*prepared_, trees.roots[tree], prepared_->shape.depth[tree], ends);
    made.first_leaf = static_cast<std::uint32_t>(leaves_.size());
    made.leaf_count = static_cast<std::uint32_t>(ends.size());
    made.output = trees.tree_output[tree];
    leaves_.resize(leaves_.size() + round_up(ends.size(), kLeafPadding) * trees.leaf_width);
    for (std::uint32_t at = 0; at < ends.size(); ++at) {
      place(ends[at], at, leaves_.data() + made.first_leaf);
    }
    trees_.push_back(made);
  }

  // Numbers the leaves of a tree from left to right and appends its nodes and its leaves' values.
  void add_tree(std::size_t tree) {
    const Ensemble& trees = prepared_->trees;
    const TreeShape& shape = prepared_->shape;
    if (goes_by_levels(tree)) return add_levels(tree);
    SweepTree made;
    made.first_node = static_cast<std::uint32_t>(nodes_.size());
    made.node_count = static_cast<std::uint32_t>(shape.tree(tree).size());
    made.first_leaf = static_cast<std::uint32_t>(leaves_.size());
    made.leaf_count = shape.leaves_of(trees.roots[tree]);
    made.output = trees.tree_output[tree];
    leaves_.resize(leaves_.size() + round_up(made.leaf_count, kLeafPadding) * trees.leaf_width);
    Sum* values = leaves_.data() + made.first_leaf;
    place(trees.roots[tree], 0, values);
    for (const std::uint32_t node : shape.tree(tree)) {
      const std::uint32_t low = low_[node];
      const std::uint32_t middle = low + shape.leaves_of(trees.left[node]);
      const NodeTest& test = prepared_->planes.tests[node];
      nodes_.push_back({test.plane, static_cast<Lane>(test.bin), static_cast<Lane>(low),
                        static_cast<Lane>(middle)});
      place(trees.left[node], low, values);
      place(trees.right[node], middle, values);
    }
    trees_.push_back(made);
  }

  // The subtree at `link` begins with leaf number `low`.
  void place(std::int32_t link, std::uint32_t low, Sum* values) {
    const Ensemble& trees = prepared_->trees;
    if (link >= 0) {
      low_[static_cast<std::size_t>(link)] = low;
      return;
    }
    const double* from = &trees.leaf_value[leaf_of_link(link) * trees.leaf_width];
    std::transform(from, from + trees.leaf_width, values + low * trees.leaf_width,
                   [](double value) { return static_cast<Sum>(value); });
  }

  void sum_block(const RowsView& x, std::size_t rows, Sum* out,
                 SweepScratch& memory) const noexcept {
    const Ensemble& trees = prepared_->trees;
    prepared_->binner.block(x, rows, memory.planes.data(), memory.memory.data());
    const std::size_t block = block_rows();
    for (std::size_t k = 0; k < trees.outputs; ++k) {
      std::fill_n(memory.sums.data() + k * block, block, static_cast<Sum>(trees.base[k]));
    }
    SweepTask<Lane> task;
    task.trees = trees_.data();
    task.tree_count = trees_.size();
    task.nodes = nodes_.data();
    task.level_planes = levels_.planes();
    task.level_thresholds = levels_.thresholds();
    task.planes = memory.planes.data();
    task.leaves = leaves_.data();
    task.float32_sums = trees.float32_sums;
    task.outputs = trees.outputs;
    task.sums = memory.sums.data();
    if constexpr (std::is_same_v<Lane, std::uint8_t>) {
      prepared_->kernels.sweep_8(task, rows);
    } else {
      prepared_->kernels.sweep_16(task, rows);
    }
    for (std::size_t k = 0; k < trees.outputs; ++k) {
      const Sum* from = memory.sums.data() + k * block;
      for (std::size_t row = 0; row < rows; ++row) out[row * trees.outputs + k] = from[row];
    }
  }

  std::shared_ptr<const PreparedTrees> prepared_;
  std::vector<SweepTree> trees_;
  std::vector<SweepNode<Lane>> nodes_;
  Levels<Lane> levels_;
  AlignedVector<Sum> leaves_;
  std::vector<std::uint32_t> low_;  // leftmost leaf of each node; only while building
};

template <class Lane>
std::unique_ptr<Evaluator> make(std::shared_ptr<const PreparedTrees> prepared) {
  if (prepared->trees.float32_sums) {
    return std::make_unique<Sweep<Lane, float>>(std::move(prepared));
  }
  return std::make_unique<Sweep<Lane, double>>(std::move(prepared));
}

}  // namespace

bool can_sweep(const PreparedTrees& prepared) noexcept {
  const std::size_t padded_leaves =
      (kMostPlacesALeaf * prepared.trees.leaves() + kLeafPadding * prepared.trees.trees()) *
      prepared.trees.leaf_width;
  return prepared.planes.count <= kMostPlanes && prepared.trees.outputs <= kMostOutputs &&
         prepared.planes.fits_16_bits() && prepared.shape.most_leaves <= kMostLeaves &&
         padded_leaves + kTablePadding * prepared.trees.leaf_width < (std::size_t{1} << 31);
}

std::unique_ptr<Evaluator> make_sweep(std::shared_ptr<const PreparedTrees> prepared) {
  if (prepared->planes.fits_8_bits() && prepared->shape.most_leaves <= kMostLeaves8) {
    return make<std::uint8_t>(std::move(prepared));
  }
  return make<std::uint16_t>(std::move(prepared));
}

}  // namespace slipstream::forest
