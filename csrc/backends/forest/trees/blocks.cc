#include "backends/forest/trees/blocks.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "backends/forest/trees/aligned.h"
#include "backends/forest/trees/turns.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kMostPlanes = 255;  // and one to throw bins away in
constexpr std::size_t kMostTrees = 20'000;
constexpr std::uint32_t kBlockLevels = 3;
constexpr std::uint8_t kNeverRight = 0xFF;  // no bin is larger

constexpr std::size_t round_up(std::size_t value, std::size_t to) noexcept {
  return (value + to - 1) / to * to;
}

template <class Sum>
class Blocks final : public Evaluator {
 public:
  explicit Blocks(std::shared_ptr<const PreparedTrees> prepared)
      : prepared_(std::move(prepared)),
        row_registers_(prepared_->planes.count < 64    ? 1
                       : prepared_->planes.count < 128 ? 2
                                                       : 4),
        has_lower_(prepared_->shape.most_depth > kBlockLevels),
        take_turns_(take_turns(prepared_->trees)),
        padded_trees_(round_up(prepared_->trees.trees(), 64)),
        upper_(padded_trees_ * 16, 0),
        values_(has_lower_ ? padded_trees_ * kLowerValues : padded_trees_ * kBlockExits) {
    for (std::size_t group = 0; group < padded_trees_ / 8; ++group) {
      std::fill_n(upper_.data() + group * 128 + 64, 64, kNeverRight);
    }
    for (std::size_t tree = 0; tree < prepared_->trees.trees(); ++tree) add_tree(tree);
  }

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t /*max_rows*/) const override {
    return std::make_unique<BlocksScratch>(*this);
  }

  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override {
    auto& memory = static_cast<BlocksScratch&>(scratch);
    const Ensemble& trees = prepared_->trees;
    const std::size_t row_bytes = x.stride * (x.is_float32 ? sizeof(float) : sizeof(double));
    BlocksTask task;
    task.upper = upper_.data();
    task.lower = has_lower_ ? reinterpret_cast<const std::uint8_t*>(values_.data()) : nullptr;
    task.block_bytes = kBlockValues * sizeof(Sum);
    task.first_value = kFirstValue;
    task.trees = padded_trees_;
    task.row = memory.row.data();
    task.row_registers = row_registers_;
    task.decisions = memory.decisions.data();
    task.exits = memory.exits.data();
    task.places = memory.places.data();
    Sum* sums = static_cast<Sum*>(out);
    write_bases(trees, rows, sums);
    for (std::size_t row = 0; row < rows; ++row, sums += trees.outputs) {
      const RowsView one{static_cast<const std::byte*>(x.data) + row * row_bytes, x.stride,
                         x.is_float32};
      prepared_->binner.rows(one, 1, memory.row.data(), 64 * row_registers_, memory.memory.data());
      prepared_->kernels.blocks(task);
      add_leaves(memory.places.data(), sums);
    }
  }

 private:
  // A lower block is 16 values long: its nodes (16 bytes), and the values of its ways out.
  static constexpr std::size_t kBlockValues = 16;
  static constexpr std::size_t kLowerValues = kBlockExits * kBlockValues;  // of a tree
  static constexpr std::size_t kFirstValue = sizeof(Sum) == 4 ? 4 : 8;

  struct BlocksScratch final : Scratch {
    explicit BlocksScratch(const Blocks& of)
        : row(64 * of.row_registers_),
          decisions(of.padded_trees_ * 2),
          exits(of.padded_trees_),
          places(of.padded_trees_),
          memory(of.prepared_->binner.memory_floats()) {}
    AlignedVector<std::uint8_t> row;
    AlignedVector<std::uint8_t> decisions;
    AlignedVector<std::uint8_t> exits;
    AlignedVector<std::uint16_t> places;
    AlignedVector<float> memory;
  };

  // Writes the nodes of up to three levels below `root`; gives the links of the ways out.
  std::vector<std::int32_t> add_block(std::int32_t root, std::uint8_t* planes,
                                      std::uint8_t* thresholds) const {
    const Ensemble& trees = prepared_->trees;
    std::fill_n(thresholds, kBlockExits, kNeverRight);
    std::vector<std::int32_t> links{root};
    for (std::uint32_t level = 0; level < kBlockLevels; ++level) {
      std::vector<std::int32_t> below;
      for (std::size_t place = 0; place < links.size(); ++place) {
        if (links[place] < 0) {
          below.insert(below.end(), 2, links[place]);
          continue;
        }
        const auto node = static_cast<std::size_t>(links[place]);
        const NodeTest& test = prepared_->planes.tests[node];
        const std::size_t at = links.size() - 1 + place;
        planes[at] = static_cast<std::uint8_t>(test.plane);
        thresholds[at] = static_cast<std::uint8_t>(test.bin);
        below.insert(below.end(), {trees.left[node], trees.right[node]});
      }
      links = std::move(below);
    }
    return links;
  }

  void add_tree(std::size_t tree) {
    std::uint8_t* upper = upper_.data() + tree / 8 * 128 + tree % 8 * 8;
    const auto ways = add_block(prepared_->trees.roots[tree], upper, upper + 64);
    if (!has_lower_) {
      write_values(ways, values_.data() + tree * kBlockExits);
      return;
    }
    Sum* block = values_.data() + tree * kLowerValues;
    for (const std::int32_t way : ways) {
      std::uint8_t nodes[2 * kBlockExits] = {};
      write_values(add_block(way, nodes, nodes + kBlockExits), block + kFirstValue);
      std::memcpy(block, nodes, sizeof nodes);
      block += kBlockValues;
    }
  }

  void write_values(const std::vector<std::int32_t>& links, Sum* to) const {
    for (const std::int32_t link : links) {
      *to++ = static_cast<Sum>(prepared_->trees.leaf_value[leaf_of_link(link)]);
    }
  }

  void add_leaves(const std::uint16_t* places, Sum* sums) const noexcept {
    const Ensemble& trees = prepared_->trees;
    const std::size_t stride = has_lower_ ? kLowerValues : kBlockExits;
    const Sum* values = values_.data();
    if (take_turns_) {
      const auto value = [=](std::size_t /*row*/, std::size_t tree) {
        return values[tree * stride + places[tree]];
      };
      return add_in_turns<1>(trees.outputs, {0, trees.trees()}, value, sums);
    }
    for (std::size_t tree = 0; tree < trees.trees(); ++tree, values += stride) {
      sums[trees.tree_output[tree]] += values[places[tree]];
    }
  }

  std::shared_ptr<const PreparedTrees> prepared_;
  std::size_t row_registers_;
  bool has_lower_;
  bool take_turns_;
  std::size_t padded_trees_;
  AlignedVector<std::uint8_t> upper_;  // [groups][8 trees' planes, 8 trees' thresholds]
  AlignedVector<Sum> values_;          // [trees][blocks], or [trees][ways out]
};

}  // namespace

std::unique_ptr<Evaluator> make_blocks(std::shared_ptr<const PreparedTrees> prepared) {
  const Planes& planes = prepared->planes;
  const Ensemble& trees = prepared->trees;
  if (prepared->kernels.blocks == nullptr || prepared->shape.most_depth > 2 * kBlockLevels ||
      !planes.fits_8_bits() || planes.count > kMostPlanes || trees.trees() > kMostTrees ||
      std::ranges::any_of(trees.tree_output, [](std::int32_t output) { return output < 0; })) {
    return nullptr;
  }
  if (trees.float32_sums) return std::make_unique<Blocks<float>>(std::move(prepared));
  return std::make_unique<Blocks<double>>(std::move(prepared));
}

}  // namespace slipstream::forest
