#include "forest/plain_evaluator.h"

#include <cmath>

namespace slipstream::forest {
namespace {

bool has_bit(std::span<const std::uint32_t> words, std::uint32_t start, std::uint32_t bit) {
  return (words[start + bit / 32] & (std::uint32_t{1} << (bit % 32))) != 0;
}

bool nearly_zero(double x) {
  return std::fabs(x) <= static_cast<double>(1e-35F);
}

// The bit of a category set that a value stands for.
std::uint32_t code_of(const Ensemble& trees, std::size_t feature, double x) {
  const std::uint32_t count = trees.category_count[feature];
  const std::uint32_t other = count;
  const std::uint32_t missing = count + 1;
  const Rule rule = trees.rule_of(feature);
  const std::uint32_t unknown = rule == Rule::kCategoryKnown ? missing : other;
  if (std::isnan(x)) return missing;
  if (rule != Rule::kCategoryTruncate && x < 0) return unknown;
  const double whole = std::trunc(x);
  if (whole < 0 || whole >= count) return unknown;
  const auto code = static_cast<std::uint32_t>(whole);
  if (rule != Rule::kCategoryKnown) return code;
  return has_bit(trees.known_bits, trees.known_start[feature], code) ? code : missing;
}

bool goes_left_at(const Ensemble& trees, std::size_t node, double x) {
  const auto feature = static_cast<std::size_t>(trees.feature[node]);
  const double threshold = trees.threshold[node];
  const Rule rule = trees.rule_of(feature);
  if (trees.comparison != Comparison::kLessEqual64) {
    x = static_cast<double>(static_cast<float>(x));
  }
  if (trees.zero_flush && nearly_zero(x)) x = 0;
  if (is_category(rule)) {
    const auto set = static_cast<std::size_t>(threshold);
    return has_bit(trees.set_bits, trees.set_start[set], code_of(trees, feature, x));
  }
  if (rule == Rule::kZeroToo && (std::isnan(x) || nearly_zero(x))) {
    return trees.missing_left[node] != 0;
  }
  if (rule == Rule::kAsZero && std::isnan(x)) x = 0;
  if (std::isnan(x)) return trees.missing_left[node] != 0;
  if (trees.comparison == Comparison::kLess32) {
    return static_cast<float>(x) < static_cast<float>(threshold);
  }
  return x <= threshold;
}

template <class T>
void sum_row(const Ensemble& trees, const RowsView& x, std::size_t row, T* sums) {
  for (std::size_t output = 0; output < trees.outputs; ++output) {
    sums[output] = static_cast<T>(trees.base[output]);
  }
  for (std::size_t tree = 0; tree < trees.roots.size(); ++tree) {
    std::int32_t link = trees.roots[tree];
    while (link >= 0) {
      const auto node = static_cast<std::size_t>(link);
      const std::size_t at = row * x.stride + static_cast<std::size_t>(trees.feature[node]);
      const double value = x.is_float32 ? static_cast<double>(static_cast<const float*>(x.data)[at])
                                        : static_cast<const double*>(x.data)[at];
      link = goes_left_at(trees, node, value) ? trees.left[node] : trees.right[node];
    }
    const auto leaf = static_cast<std::size_t>(~link);
    const std::int32_t only = trees.tree_output[tree];
    for (std::size_t output = 0; output < trees.outputs; ++output) {
      if (only >= 0 && static_cast<std::size_t>(only) != output) continue;
      const std::size_t column = only >= 0 ? 0 : output;
      sums[output] += static_cast<T>(trees.leaf_value[leaf * trees.leaf_width + column]);
    }
  }
}

}  // namespace

void plain_sums(const Ensemble& trees, const RowsView& x, std::size_t rows, void* out) {
  for (std::size_t row = 0; row < rows; ++row) {
    if (trees.float32_sums) {
      sum_row(trees, x, row, static_cast<float*>(out) + row * trees.outputs);
    } else {
      sum_row(trees, x, row, static_cast<double*>(out) + row * trees.outputs);
    }
  }
}

}  // namespace slipstream::forest
