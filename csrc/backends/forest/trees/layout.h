// TreeShape: the nodes of each tree of an ensemble, and the leaves below each node.
//
// The fast algorithms lay trees out one by one; the file keeps all nodes in one table.
// Throws std::bad_alloc; nothing recurses, so a chain of a million nodes is only slow.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/forest/trees/ensemble.h"

namespace slipstream::forest {

struct TreeShape {
  std::vector<std::uint32_t> nodes;         // by tree, parents before children
  std::vector<std::size_t> start;           // [trees + 1], into `nodes`
  std::vector<std::uint32_t> leaves_below;  // of every node of the ensemble
  std::vector<std::uint32_t> depth;         // of every tree: 0 for a lone leaf
  std::uint32_t most_leaves = 1;
  std::uint32_t most_depth = 0;

  [[nodiscard]] std::span<const std::uint32_t> tree(std::size_t number) const noexcept {
    return std::span(nodes).subspan(start[number], start[number + 1] - start[number]);
  }
  [[nodiscard]] std::uint32_t leaves_of(std::int32_t link) const noexcept {
    return link < 0 ? 1 : leaves_below[static_cast<std::size_t>(link)];
  }
};

[[nodiscard]] TreeShape shape_of(const Ensemble& trees);

}  // namespace slipstream::forest
