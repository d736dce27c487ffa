#include "backends/forest/trees/plain.h"

#include <vector>

#include "backends/forest/trees/value.h"

namespace slipstream::forest {
namespace {

// One row after every feature's rule: numbers (NaN where missing), and codes of categories as
// numbers.
class PlainScratch final : public Evaluator::Scratch {
 public:
  explicit PlainScratch(std::size_t features) : row(features) {}
  std::vector<double> row;
};

void prepare(const Ensemble& trees, const RowsView& x, std::size_t row, std::span<double> out) {
  for (std::size_t f = 0; f < trees.features; ++f) {
    const double value = as_seen(value_at(x, row, f), trees.comparison);
    const Rule rule = trees.rule_of(f);
    out[f] = is_category(rule) ? static_cast<double>(category_code(value, f, trees))
                               : prepared(value, rule, trees.zero_flush);
  }
}

std::size_t leaf_of(const Ensemble& trees, std::int32_t link, std::span<const double> row) {
  while (link >= 0) {
    const auto node = static_cast<std::size_t>(link);
    const auto feature = static_cast<std::size_t>(trees.feature[node]);
    const double value = row[feature];
    bool left = false;
    if (is_category(trees.rule_of(feature))) {
      const auto set = static_cast<std::size_t>(trees.threshold[node]);
      left = test_bit(trees.set_bits, trees.set_start[set], static_cast<std::size_t>(value));
    } else if (std::isnan(value)) {
      left = trees.missing_left[node] != 0;
    } else {
      left = goes_left(value, trees.threshold[node], trees.comparison);
    }
    link = left ? trees.left[node] : trees.right[node];
  }
  return leaf_of_link(link);
}

template <class T>
void add_trees(const Ensemble& trees, std::span<const double> row, T* sums) {
  for (std::size_t k = 0; k < trees.outputs; ++k) sums[k] = static_cast<T>(trees.base[k]);
  for (std::size_t tree = 0; tree < trees.trees(); ++tree) {
    const std::size_t leaf = leaf_of(trees, trees.roots[tree], row);
    const double* values = &trees.leaf_value[leaf * trees.leaf_width];
    if (const std::int32_t output = trees.tree_output[tree]; output >= 0) {
      sums[output] += static_cast<T>(values[0]);
      continue;
    }
    for (std::size_t k = 0; k < trees.outputs; ++k) sums[k] += static_cast<T>(values[k]);
  }
}

}  // namespace

std::unique_ptr<Evaluator::Scratch> PlainEvaluator::make_scratch(std::size_t /*max_rows*/) const {
  return std::make_unique<PlainScratch>(trees_.features);
}

void PlainEvaluator::sums(const RowsView& x, std::size_t rows, void* out,
                          Scratch& scratch) const noexcept {
  const std::span<double> row = static_cast<PlainScratch&>(scratch).row;
  for (std::size_t r = 0; r < rows; ++r) {
    prepare(trees_, x, r, row);
    if (trees_.float32_sums) {
      add_trees(trees_, row, static_cast<float*>(out) + r * trees_.outputs);
    } else {
      add_trees(trees_, row, static_cast<double*>(out) + r * trees_.outputs);
    }
  }
}

}  // namespace slipstream::forest
