#include "forest/random_trees.h"

#include <cmath>
#include <limits>

namespace slipstream::forest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double ordinary(Random& random) {
  const double fraction = static_cast<double>(random() % 2000001) / 1e6 - 1.0;
  return chance(random, 3) ? std::round(fraction * 8) : std::ldexp(fraction, 2);
}

// Never NaN.
double hard(Random& random) {
  constexpr double kNumbers[] = {0.0,           -0.0,         1.0,   -1.0,   1e-35,  -1e-35,
                                 1.0000001e-35, 9.9e-36,      1e-40, -1e-40, 5e-324, 1e38,
                                 -1e38,         3.4028236e38, 1e300, -1e300, 1e-300, 0.5,
                                 1.5,           16777217.0,   0.1,   1e-45};
  constexpr auto kTiny = static_cast<double>(1e-35F);
  switch (random() % 8) {
    case 0:
      return chance(random, 2) ? kInfinity : -kInfinity;
    case 1:
      return chance(random, 2) ? kTiny : std::nextafter(kTiny, 1.0);
    case 2:
    case 3:
      return kNumbers[below(random, std::size(kNumbers))];
    default:
      return ordinary(random);
  }
}

std::vector<std::uint32_t> random_bits(Random& random, std::size_t count) {
  std::vector<std::uint32_t> words((count + 31) / 32);
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(random());
  return words;
}

class Grower {
 public:
  Grower(Random& random, const TreeLimits& limits) : random_(random), limits_(limits) {}

  OwnedTrees grow() {
    trees_.features = static_cast<std::uint32_t>(1 + below(random_, limits_.features));
    trees_.outputs =
        static_cast<std::uint32_t>(chance(random_, 2) ? 1 : 1 + below(random_, limits_.outputs));
    trees_.leaf_width = chance(random_, 2) ? 1 : trees_.outputs;
    in_turns_ = trees_.leaf_width == 1 && chance(random_, 2);
    trees_.comparison = static_cast<Comparison>(below(random_, 3));
    trees_.zero_flush = in_double() && chance(random_, 3);
    trees_.float32_sums = chance(random_, 3);
    choose_rules();
    for (std::uint32_t i = 0; i < trees_.outputs; ++i) trees_.base.push_back(ordinary(random_));
    // A pool, so that trees share thresholds as trained ones do.
    for (std::size_t i = 0; i < 1 + below(random_, 400); ++i) {
      const double value = hard(random_);
      pool_.push_back(chance(random_, 2) ? value : static_cast<double>(static_cast<float>(value)));
    }
    std::size_t count = below(random_, limits_.trees + 1);
    if (in_turns_) count -= count % trees_.outputs;
    const std::size_t most = chance(random_, 3) ? limits_.leaves : 1 + limits_.leaves / 8;
    for (std::size_t i = 0; i < count; ++i) add_tree(1 + below(random_, most));
    return std::move(trees_);
  }

 private:
  // What is nearly zero is said of float64 alone.
  [[nodiscard]] bool in_double() const { return trees_.comparison == Comparison::kLessEqual64; }

  void choose_rules() {
    const bool some_categories = chance(random_, 2);
    constexpr std::uint8_t kNumeric[] = {0, 0, 1, 2};
    for (std::uint32_t f = 0; f < trees_.features; ++f) {
      const bool category = some_categories && chance(random_, 3);
      trees_.rule.push_back(category ? static_cast<std::uint8_t>(4 + below(random_, 3))
                                     : kNumeric[below(random_, in_double() ? 4 : 3)]);
    }
    if (!some_categories) return;
    for (std::uint32_t f = 0; f < trees_.features; ++f) {
      const bool category = is_category(static_cast<Rule>(trees_.rule[f]));
      trees_.category_count.push_back(
          category ? static_cast<std::uint32_t>(below(random_, limits_.categories + 1)) : 0);
    }
    trees_.known_start.push_back(0);
    for (std::uint32_t f = 0; f < trees_.features; ++f) {
      if (static_cast<Rule>(trees_.rule[f]) == Rule::kCategoryKnown) {
        const auto words = random_bits(random_, trees_.category_count[f]);
        trees_.known_bits.insert(trees_.known_bits.end(), words.begin(), words.end());
      }
      trees_.known_start.push_back(static_cast<std::uint32_t>(trees_.known_bits.size()));
    }
    trees_.set_start.push_back(0);
  }

  std::int32_t next_output() {
    if (in_turns_) return static_cast<std::int32_t>(trees_.roots.size() % trees_.outputs);
    const bool of_all =
        trees_.leaf_width == trees_.outputs && (trees_.outputs > 1 || chance(random_, 2));
    return of_all ? -1 : static_cast<std::int32_t>(below(random_, trees_.outputs));
  }

  std::int32_t new_leaf() {
    for (std::uint32_t i = 0; i < trees_.leaf_width; ++i) {
      trees_.leaf_value.push_back(ordinary(random_));
    }
    return ~static_cast<std::int32_t>(trees_.leaf_value.size() / trees_.leaf_width - 1);
  }

  std::int32_t new_node() {
    const std::size_t feature = below(random_, trees_.features);
    trees_.feature.push_back(static_cast<std::int32_t>(feature));
    trees_.missing_left.push_back(static_cast<std::uint8_t>(random_() % 2));
    trees_.left.push_back(0);
    trees_.right.push_back(0);
    if (is_category(static_cast<Rule>(trees_.rule[feature]))) {
      trees_.threshold.push_back(static_cast<double>(trees_.set_start.size() - 1));
      const auto words = random_bits(random_, trees_.category_count[feature] + 2);
      trees_.set_bits.insert(trees_.set_bits.end(), words.begin(), words.end());
      trees_.set_start.push_back(static_cast<std::uint32_t>(trees_.set_bits.size()));
    } else {
      trees_.threshold.push_back(pool_[below(random_, pool_.size())]);
    }
    return static_cast<std::int32_t>(trees_.feature.size() - 1);
  }

  // Splits open ends until there are enough leaves: deep at times, bushy at others.
  void add_tree(std::size_t leaves) {
    const bool deep = chance(random_, 3);
    trees_.tree_output.push_back(next_output());
    struct End {
      std::int32_t parent;  // -1: the root
      bool left;
    };
    std::vector<End> ends{{-1, false}};
    const auto attach = [this](const End& end, std::int32_t link) {
      if (end.parent < 0) {
        trees_.roots.push_back(link);
      } else {
        auto& side = end.left ? trees_.left : trees_.right;
        side[static_cast<std::size_t>(end.parent)] = link;
      }
    };
    while (ends.size() < leaves) {
      const std::size_t chosen = deep ? ends.size() - 1 : below(random_, ends.size());
      const End end = ends[chosen];
      ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(chosen));
      const std::int32_t node = new_node();
      attach(end, node);
      ends.push_back({node, true});
      ends.push_back({node, false});
    }
    for (const End& end : ends) attach(end, new_leaf());
  }

  Random& random_;
  const TreeLimits& limits_;
  OwnedTrees trees_;
  bool in_turns_ = false;  // trees at the outputs, as where classifiers are boosted
  std::vector<double> pool_;
};

double category(Random& random, std::uint32_t count) {
  constexpr double kOdd[] = {-1.0, -0.5, -0.0, -1e-50, -3.0, 1e10, 1e300, 0.999999999999};
  if (chance(random, 4)) return kOdd[below(random, std::size(kOdd))];
  const auto code = static_cast<double>(below(random, count + 3));
  return chance(random, 4) ? code + 0.75 : code;
}

// On a threshold of the trees, or beside it in either precision.
double near_threshold(Random& random, const OwnedTrees& trees) {
  if (trees.threshold.empty()) return ordinary(random);
  const double threshold = trees.threshold[below(random, trees.threshold.size())];
  const auto narrow = static_cast<float>(threshold);
  switch (random() % 6) {
    case 0:
      return std::nextafter(threshold, kInfinity);
    case 1:
      return std::nextafter(threshold, -kInfinity);
    case 2:
      return static_cast<double>(narrow);
    case 3:
      return static_cast<double>(std::nextafterf(narrow, 1e38F));
    case 4:
      return static_cast<double>(std::nextafterf(narrow, -1e38F));
    default:
      return threshold;
  }
}

}  // namespace

OwnedTrees random_trees(Random& random, const TreeLimits& limits) {
  return Grower(random, limits).grow();
}

std::vector<double> random_rows(Random& random, const OwnedTrees& trees, std::size_t rows) {
  std::vector<double> x;
  x.reserve(rows * trees.features);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::uint32_t f = 0; f < trees.features; ++f) {
      const bool is_code = is_category(static_cast<Rule>(trees.rule[f]));
      if (chance(random, 8)) {
        x.push_back(std::numeric_limits<double>::quiet_NaN());
      } else if (is_code && !chance(random, 8)) {
        x.push_back(category(random, trees.category_count[f]));
      } else if (chance(random, 2)) {
        x.push_back(near_threshold(random, trees));
      } else {
        x.push_back(hard(random));
      }
    }
  }
  return x;
}

}  // namespace slipstream::forest
