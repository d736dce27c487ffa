#include "backends/forest/trees/ensemble.h"

#include <cmath>
#include <string>
#include <vector>

namespace slipstream::forest {
namespace {

Status damaged(const std::string& what) {
  return invalid_argument("the trees are damaged: " + what + "; convert the model again");
}

bool known_rule(std::uint8_t rule) noexcept {
  return rule <= static_cast<std::uint8_t>(Rule::kZeroToo) ||
         (rule >= static_cast<std::uint8_t>(Rule::kCategoryTruncate) &&
          rule <= static_cast<std::uint8_t>(Rule::kCategoryKnown));
}

Status check_sizes(const Ensemble& trees) {
  const std::size_t nodes = trees.nodes();
  if (trees.threshold.size() != nodes || trees.left.size() != nodes ||
      trees.right.size() != nodes || trees.missing_left.size() != nodes) {
    return damaged("the arrays over nodes differ in length");
  }
  if (trees.features == 0 || trees.rule.size() != trees.features) {
    return damaged("not every feature has a rule");
  }
  if (trees.outputs == 0 || trees.base.size() != trees.outputs) {
    return damaged("not every output has a base");
  }
  if (trees.leaf_width != 1 && trees.leaf_width != trees.outputs) {
    return damaged("a leaf holds neither one value nor one per output");
  }
  if (trees.leaf_value.size() % trees.leaf_width != 0 ||
      trees.leaf_value.size() / trees.leaf_width > kMaxLinks || nodes > kMaxLinks) {
    return damaged("there are too many nodes or a leaf is incomplete");
  }
  if (trees.tree_output.size() != trees.trees()) return damaged("a tree has no output");
  for (const std::int32_t output : trees.tree_output) {
    const bool whole = output == -1 && trees.leaf_width == trees.outputs;
    const bool one =
        output >= 0 && static_cast<std::uint32_t>(output) < trees.outputs && trees.leaf_width == 1;
    if (!whole && !one) return damaged("a tree adds to an output that does not exist");
  }
  return Status::ok();
}

Status check_links(const Ensemble& trees) {
  const std::size_t nodes = trees.nodes();
  const std::size_t leaves = trees.leaves();
  std::vector<bool> linked(nodes, false);
  std::vector<bool> reached(leaves, false);
  // A link to a node that follows its parent, and that nothing else links to: no cycles, no
  // sharing, of leaves neither: every layout holds a leaf's values once for each link to it.
  const auto follow = [&](std::int32_t link, std::int64_t from) {
    if (link < 0) {
      const std::size_t leaf = leaf_of_link(link);
      if (leaf >= leaves || reached[leaf]) return false;
      reached[leaf] = true;
      return true;
    }
    const auto node = static_cast<std::size_t>(link);
    if (node >= nodes || link <= from || linked[node]) return false;
    linked[node] = true;
    return true;
  };
  for (const std::int32_t root : trees.roots) {
    if (!follow(root, -1))
      return damaged("the root of a tree leads nowhere, or where another link leads");
  }
  for (std::size_t node = 0; node < nodes; ++node) {
    const auto from = static_cast<std::int64_t>(node);
    if (!follow(trees.left[node], from) || !follow(trees.right[node], from)) {
      return damaged("a link of node " + std::to_string(node) +
                     " leads nowhere, back, or where another link leads");
    }
  }
  for (std::size_t node = 0; node < nodes; ++node) {
    if (!linked[node]) return damaged("nothing leads to node " + std::to_string(node));
  }
  return Status::ok();
}

Status check_categories(const Ensemble& trees) {
  for (std::size_t f = 0; f < trees.features; ++f) {
    if (!known_rule(trees.rule[f])) return damaged("feature " + std::to_string(f) + " has no rule");
  }
  bool any = false;
  bool any_known = false;
  for (std::size_t f = 0; f < trees.features; ++f) {
    any = any || is_category(trees.rule_of(f));
    any_known = any_known || trees.rule_of(f) == Rule::kCategoryKnown;
  }
  if (any && trees.category_count.size() != trees.features) {
    return damaged("a categorical feature has no number of categories");
  }
  for (const std::uint32_t count : trees.category_count) {
    if (count > kMaxCategories) return damaged("a feature has too many categories");
  }
  const auto in_order = [](std::span<const std::uint32_t> starts, std::size_t words) {
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      if (starts[i] > starts[i + 1]) return false;
    }
    return starts.empty() || (starts.front() == 0 && starts.back() == words);
  };
  if (!in_order(trees.set_start, trees.set_bits.size()) ||
      !in_order(trees.known_start, trees.known_bits.size())) {
    return damaged("category sets overlap or are cut off");
  }
  if (!any_known) return Status::ok();
  if (trees.known_start.size() != trees.features + std::size_t{1}) {
    return damaged("a feature does not say which categories it knows");
  }
  for (std::size_t f = 0; f < trees.features; ++f) {
    if (trees.rule_of(f) != Rule::kCategoryKnown) continue;
    const std::uint64_t bits = 32ULL * (trees.known_start[f + 1] - trees.known_start[f]);
    if (bits < trees.category_count[f]) return damaged("the known categories are cut off");
  }
  return Status::ok();
}

Status check_nodes(const Ensemble& trees) {
  const std::size_t sets = trees.set_start.empty() ? 0 : trees.set_start.size() - 1;
  for (std::size_t node = 0; node < trees.nodes(); ++node) {
    const std::int32_t feature = trees.feature[node];
    if (feature < 0 || static_cast<std::uint32_t>(feature) >= trees.features) {
      return damaged("node " + std::to_string(node) + " looks at a feature that does not exist");
    }
    const auto column = static_cast<std::size_t>(feature);
    const double threshold = trees.threshold[node];
    if (!is_category(trees.rule_of(column))) {
      if (std::isnan(threshold)) {
        return damaged("the threshold of node " + std::to_string(node) + " is NaN");
      }
      continue;
    }
    if (!(threshold >= 0.0) || threshold >= static_cast<double>(sets)) {
      return damaged("node " + std::to_string(node) +
                     " splits by a category set that is not there");
    }
    const auto set = static_cast<std::size_t>(threshold);
    const std::uint64_t bits = 32ULL * (trees.set_start[set + 1] - trees.set_start[set]);
    if (bits < trees.category_count[column] + 2ULL) return damaged("a category set is cut off");
  }
  return Status::ok();
}

}  // namespace

Status Ensemble::validate() const {
  if (Status status = check_sizes(*this); !status.is_ok()) return status;
  if (Status status = check_links(*this); !status.is_ok()) return status;
  if (Status status = check_categories(*this); !status.is_ok()) return status;
  return check_nodes(*this);
}

}  // namespace slipstream::forest
