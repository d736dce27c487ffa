#include "backends/forest/trees/lockstep.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

#include "backends/forest/trees/turns.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kMostPlanes = 255;  // and one to throw bins away in
constexpr std::uint32_t kMostLeaves = 256;
constexpr std::size_t kFewRows = 8;
constexpr std::size_t kBytesAtOnce = std::size_t{16} << 10;  // of values
constexpr std::uint8_t kNeverRight = 0xFF;                   // no bin is larger

struct LaneOfTree {
  std::uint32_t place = 0;  // group and lane
  std::uint32_t first_value = 0;
};

template <class Sum>
class Lockstep final : public Evaluator {
 public:
  explicit Lockstep(std::shared_ptr<const PreparedTrees> prepared)
      : prepared_(std::move(prepared)),
        row_registers_(prepared_->planes.count < 64    ? 1
                       : prepared_->planes.count < 128 ? 2
                                                       : 4),
        take_turns_(take_turns(prepared_->trees)) {
    const std::size_t trees = prepared_->trees.trees();
    group_count_ = (trees + kLockstepTrees - 1) / kLockstepTrees;
    together_ = groups_together(group_count_);
    const std::vector<std::uint32_t> order = lanes();
    trees_.resize(trees);
    low_.resize(prepared_->trees.nodes());
    for (std::size_t group = 0; group < group_count_; ++group) {
      const std::size_t first = group * kLockstepTrees;
      const std::size_t first_together = group / together_ * together_ * kLockstepTrees;
      add_group(std::span(order).subspan(first, std::min(kLockstepTrees, trees - first)), group,
                most_nodes(order, first_together));
    }
    slot_start_.push_back(static_cast<std::uint32_t>(slots_.size() / kSlotBytes));
    for (std::size_t tree = 0; tree < trees; ++tree) add_values(tree);
    const std::size_t tree_bytes = values_.size() * sizeof(Sum) / std::max<std::size_t>(trees, 1);
    const std::size_t fitting = kBytesAtOnce / std::max<std::size_t>(tree_bytes, 1);
    const std::size_t outputs = prepared_->trees.outputs;
    trees_at_once_ = std::max<std::size_t>(fitting / outputs, 1) * outputs;
    low_ = {};
  }

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t /*max_rows*/) const override {
    return std::make_unique<LockstepScratch>(*this);
  }

  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override {
    auto& memory = static_cast<LockstepScratch&>(scratch);
    const std::size_t outputs = prepared_->trees.outputs;
    const std::size_t row_bytes = x.stride * (x.is_float32 ? sizeof(float) : sizeof(double));
    LockstepTask task;
    task.slots = slots_.data();
    task.slot_start = slot_start_.data();
    task.group_count = group_count_;
    task.rows = memory.rows.data();
    task.row_registers = row_registers_;
    task.leaves = memory.leaves.data();
    Sum* sums = static_cast<Sum*>(out);
    write_bases(prepared_->trees, rows, sums);
    for (std::size_t row = 0; row < rows; row += kLockstepRows) {
      task.row_count = std::min(kLockstepRows, rows - row);
      const RowsView some{static_cast<const std::byte*>(x.data) + row * row_bytes, x.stride,
                          x.is_float32};
      prepared_->binner.rows(some, task.row_count, memory.rows.data(), 64 * row_registers_,
                             memory.memory.data());
      prepared_->kernels.lockstep(task);
      add_leaves(memory.leaves.data(), task.row_count, sums + row * outputs);
    }
  }

 private:
  struct LockstepScratch final : Scratch {
    explicit LockstepScratch(const Lockstep& of)
        : rows(kLockstepRows * 64 * of.row_registers_),
          leaves(of.group_count_ * kGroupLeaves),
          memory(of.prepared_->binner.memory_floats()) {}
    AlignedVector<std::uint8_t> rows;
    AlignedVector<std::uint8_t> leaves;
    AlignedVector<float> memory;
  };

  // The trees in the order of their lanes. The trees of a group take as many steps as the largest
  // of them, so they go by size where that saves steps; else as they are, which makes summing
  // simpler.
  [[nodiscard]] std::vector<std::uint32_t> lanes() const {
    std::vector<std::uint32_t> order(prepared_->trees.trees());
    std::iota(order.begin(), order.end(), 0U);
    std::vector<std::uint32_t> by_size = order;
    std::ranges::stable_sort(
        by_size, {}, [&](std::uint32_t tree) { return prepared_->shape.tree(tree).size(); });
    const auto steps = [&](const std::vector<std::uint32_t>& of) {
      std::size_t sum = 0;
      for (std::size_t at = 0; at < of.size(); at += together_ * kLockstepTrees)
        sum += most_nodes(of, at);
      return sum;
    };
    return 10 * steps(order) > 11 * steps(by_size) ? by_size : order;
  }

  // Of the trees that are taken together, from place `first` on.
  [[nodiscard]] std::size_t most_nodes(const std::vector<std::uint32_t>& order,
                                       std::size_t first) const {
    std::size_t most = 0;
    for (std::size_t at = first; at < std::min(first + together_ * kLockstepTrees, order.size());
         ++at) {
      most = std::max(most, prepared_->shape.tree(order[at]).size());
    }
    return most;
  }

  // `most`: nodes of the largest tree of this group and those that are taken with it.
  void add_group(std::span<const std::uint32_t> trees, std::size_t group, std::size_t most) {
    slot_start_.push_back(static_cast<std::uint32_t>(slots_.size() / kSlotBytes));
    const std::size_t first = slots_.size();
    slots_.resize(first + most * kSlotBytes, 0);
    for (std::size_t slot = 0; slot < most; ++slot) {
      std::fill_n(slots_.data() + first + slot * kSlotBytes + kLockstepTrees, kLockstepTrees,
                  kNeverRight);
    }
    for (std::size_t lane = 0; lane < trees.size(); ++lane) {
      trees_[trees[lane]].place = static_cast<std::uint32_t>(group * kGroupLeaves + lane);
      add_nodes(trees[lane], slots_.data() + first + lane);
    }
  }

  // Numbers the leaves of a tree from left to right and writes its nodes into its lane: the node
  // between leaf k and leaf k + 1 into slot k.
  void add_nodes(std::uint32_t tree, std::uint8_t* lane) {
    const Ensemble& trees = prepared_->trees;
    for (const std::uint32_t node : prepared_->shape.tree(tree)) {
      const std::uint32_t low = low_[node];
      const std::uint32_t middle = low + prepared_->shape.leaves_of(trees.left[node]);
      const NodeTest& test = prepared_->planes.tests[node];
      std::uint8_t* slot = lane + (middle - 1) * kSlotBytes;
      slot[0] = static_cast<std::uint8_t>(test.plane);
      slot[kLockstepTrees] = static_cast<std::uint8_t>(test.bin);
      slot[2 * kLockstepTrees] = static_cast<std::uint8_t>(low);
      if (trees.left[node] >= 0) low_[static_cast<std::size_t>(trees.left[node])] = low;
      if (trees.right[node] >= 0) low_[static_cast<std::size_t>(trees.right[node])] = middle;
    }
  }

  void add_values(std::size_t tree) {
    const Ensemble& trees = prepared_->trees;
    const std::size_t width = trees.leaf_width;
    trees_[tree].first_value = static_cast<std::uint32_t>(values_.size());
    values_.resize(values_.size() + prepared_->shape.leaves_of(trees.roots[tree]) * width);
    const auto write = [&](std::int32_t link, std::uint32_t leaf) {
      if (link >= 0) return;
      const double* from = &trees.leaf_value[leaf_of_link(link) * width];
      std::transform(from, from + width, values_.data() + trees_[tree].first_value + leaf * width,
                     [](double value) { return static_cast<Sum>(value); });
    };
    write(trees.roots[tree], 0);
    for (const std::uint32_t node : prepared_->shape.tree(tree)) {
      write(trees.left[node], low_[node]);
      write(trees.right[node], low_[node] + prepared_->shape.leaves_of(trees.left[node]));
    }
  }

  // Of so few trees at a time that their values stay in the first-level cache for all rows.
  void add_leaves(const std::uint8_t* leaves, std::size_t rows, Sum* sums) const noexcept {
    const std::size_t trees = trees_.size();
    const std::size_t at_once = rows > kFewRows ? trees_at_once_ : trees;
    for (std::size_t tree = 0; tree < trees; tree += at_once) {
      add_leaves_of({tree, std::min(tree + at_once, trees)}, leaves, rows, sums);
    }
  }

  void add_leaves_of(TreeRange range, const std::uint8_t* leaves, std::size_t rows,
                     Sum* sums) const noexcept {
    const Ensemble& trees = prepared_->trees;
    if (take_turns_) {
      const auto add = [&]<std::size_t Rows>() {
        for (; rows >= Rows; rows -= Rows) {
          add_rows<Rows>(range, leaves, sums);
          leaves += Rows * kLockstepTrees;
          sums += Rows * trees.outputs;
        }
      };
      if (trees.outputs == 1) add.template operator()<8>();
      add.template operator()<4>();
      add.template operator()<1>();
      return;
    }
    for (std::size_t row = 0; row < rows; ++row, leaves += kLockstepTrees, sums += trees.outputs) {
      for (std::size_t tree = range.begin; tree < range.end; ++tree) {
        const std::size_t leaf = leaves[trees_[tree].place];
        add_leaf(trees, tree, &values_[trees_[tree].first_value + leaf * trees.leaf_width], sums);
      }
    }
  }

  // Sums of several rows do not wait for each other.
  template <std::size_t Rows>
  void add_rows(TreeRange range, const std::uint8_t* leaves, Sum* sums) const noexcept {
    const auto value = [leaves, stride = kLockstepTrees, values = values_.data(),
                        of = trees_.data()](std::size_t row, std::size_t tree) {
      return values[of[tree].first_value + leaves[row * stride + of[tree].place]];
    };
    add_in_turns<Rows>(prepared_->trees.outputs, range, value, sums);
  }

  std::shared_ptr<const PreparedTrees> prepared_;
  std::size_t row_registers_;
  bool take_turns_;
  std::size_t group_count_ = 0;
  std::size_t together_ = 1;       // groups
  std::size_t trees_at_once_ = 1;  // a multiple of the outputs
  AlignedVector<std::uint8_t> slots_;
  std::vector<std::uint32_t> slot_start_;
  std::vector<LaneOfTree> trees_;
  AlignedVector<Sum> values_;
  std::vector<std::uint32_t> low_;  // leftmost leaf of each node; only while building
};

}  // namespace

std::unique_ptr<Evaluator> make_lockstep(std::shared_ptr<const PreparedTrees> prepared) {
  const Planes& planes = prepared->planes;
  if (prepared->kernels.lockstep == nullptr || prepared->shape.most_leaves > kMostLeaves ||
      !planes.fits_8_bits() || planes.count > kMostPlanes) {
    return nullptr;
  }
  if (prepared->trees.float32_sums) return std::make_unique<Lockstep<float>>(std::move(prepared));
  return std::make_unique<Lockstep<double>>(std::move(prepared));
}

}  // namespace slipstream::forest
