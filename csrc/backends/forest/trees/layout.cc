#include "backends/forest/trees/layout.h"

#include <algorithm>

namespace slipstream::forest {

TreeShape shape_of(const Ensemble& trees) {
  TreeShape shape;
  shape.nodes.reserve(trees.nodes());
  shape.leaves_below.assign(trees.nodes(), 0);
  for (std::size_t node = trees.nodes(); node-- > 0;) {  // children come after their parents
    shape.leaves_below[node] =
        shape.leaves_of(trees.left[node]) + shape.leaves_of(trees.right[node]);
  }
  std::vector<std::uint32_t> depth(trees.nodes(), 0);  // of the node itself
  for (const std::int32_t root : trees.roots) {
    shape.start.push_back(shape.nodes.size());
    shape.most_leaves = std::max(shape.most_leaves, shape.leaves_of(root));
    std::uint32_t deepest = 0;
    if (root >= 0) shape.nodes.push_back(static_cast<std::uint32_t>(root));
    for (std::size_t at = shape.start.back(); at < shape.nodes.size(); ++at) {
      const std::uint32_t node = shape.nodes[at];
      deepest = std::max(deepest, depth[node] + 1);
      for (const std::int32_t child : {trees.left[node], trees.right[node]}) {
        if (child < 0) continue;
        depth[static_cast<std::size_t>(child)] = depth[node] + 1;
        shape.nodes.push_back(static_cast<std::uint32_t>(child));
      }
    }
    shape.depth.push_back(deepest);
    shape.most_depth = std::max(shape.most_depth, deepest);
  }
  shape.start.push_back(shape.nodes.size());
  return shape;
}

}  // namespace slipstream::forest
