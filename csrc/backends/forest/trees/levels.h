// Levels: the first levels of a tree as if it were complete, for a vector of rows at a time.
//
// A lane holds the place its row has reached on a level: 2 * place, plus 1 where it went right. The
// thresholds of a level lie in a register and are looked up by place; the values to compare with
// are chosen among the planes of the level's nodes, by the decisions so far, as in a tournament. So
// a level costs a load and a choice per place but only one comparison, and comparisons into masks
// are what processors do least of. Places where the tree has no node go left and cost their load.
//
// Whole trees of few levels are evaluated so (sweep.h), and the tops of deep ones (walk.h).
//
// Threads: any, once built. Ownership: keeps nothing of what it is made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "backends/forest/trees/aligned.h"
#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/prepared_trees.h"

namespace slipstream::forest {

// The levels of several trees, for lanes of one type.
template <class Lane>
class Levels {
 public:
  // `block_rows`: elements from one plane to the next.
  explicit Levels(std::size_t block_rows) noexcept : block_rows_(block_rows) {}

  // Appends the first `depth` levels below `root`, 1 to kMostLevels. `ends[place]` becomes the link
  // that the row at that place goes on from; leaves above the last level have several places.
  // Throws std::bad_alloc.
  [[nodiscard]] LevelTree add(const PreparedTrees& of, std::int32_t root, std::uint32_t depth,
                              std::vector<std::int32_t>& ends) {
    constexpr std::size_t kRegister = 64 / sizeof(Lane);
    const LevelTree made{depth, static_cast<std::uint32_t>(planes_.size()),
                         static_cast<std::uint32_t>(thresholds_.size())};
    const std::size_t places = std::size_t{1} << depth;
    planes_.resize(planes_.size() + places - 1, 0);
    // The last level may take two registers.
    thresholds_.resize(thresholds_.size() + (depth + 1) * kRegister, kNeverRight);
    ends.assign(1, root);
    for (std::uint32_t level = 0; level < depth; ++level) {
      const std::vector<std::int32_t> links = std::move(ends);
      ends = {};
      for (std::size_t place = 0; place < links.size(); ++place) {
        if (links[place] < 0) {
          ends.insert(ends.end(), 2, links[place]);
          continue;
        }
        const auto node = static_cast<std::size_t>(links[place]);
        const NodeTest& test = of.planes.tests[node];
        planes_[made.first_plane + links.size() - 1 + place] =
            static_cast<std::uint32_t>(test.plane * block_rows_);
        thresholds_[made.first_threshold + level * kRegister + place] = static_cast<Lane>(test.bin);
        ends.insert(ends.end(), {of.trees.left[node], of.trees.right[node]});
      }
    }
    return made;
  }

  [[nodiscard]] const std::uint32_t* planes() const noexcept { return planes_.data(); }
  [[nodiscard]] const Lane* thresholds() const noexcept { return thresholds_.data(); }

 private:
  static constexpr Lane kNeverRight = std::numeric_limits<Lane>::max();  // no bin is larger

  std::size_t block_rows_;
  std::vector<std::uint32_t> planes_;
  AlignedVector<Lane> thresholds_;
};

}  // namespace slipstream::forest
