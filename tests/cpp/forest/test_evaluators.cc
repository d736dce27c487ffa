// Every algorithm gives the bits that the plain walk of tests/cpp/forest/plain_evaluator.cc gives.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/kernels.h"
#include "forest/algorithms.h"
#include "forest/plain_evaluator.h"
#include "forest/random_trees.h"
#include "harness.h"

namespace slipstream::forest {
namespace {

// Rows in a wider table, so that the stride is not the number of features.
template <class T>
struct Table {
  std::vector<T> cells;
  std::size_t stride;

  Table(const std::vector<double>& x, std::size_t features, std::size_t extra)
      : stride(features + extra) {
    cells.assign(x.size() / features * stride + 1, T{77});
    for (std::size_t i = 0; i < x.size(); ++i) {
      cells[i / features * stride + i % features] = static_cast<T>(x[i]);
    }
  }
  [[nodiscard]] RowsView from(std::size_t row) const {
    return {.data = cells.data() + row * stride,
            .stride = stride,
            .is_float32 = std::is_same_v<T, float>};
  }
};

std::string differing_rows(const std::vector<std::byte>& a, const std::vector<std::byte>& b,
                           std::size_t row_bytes) {
  for (std::size_t at = 0; at < a.size(); at += row_bytes) {
    if (std::memcmp(a.data() + at, b.data() + at, row_bytes) != 0) {
      return "row " + std::to_string(at / row_bytes);
    }
  }
  return "";
}

// Compares one algorithm with the expected sums, in calls of several sizes.
template <class T>
void check_rows(const Evaluator& evaluator, const Ensemble& trees, const Table<T>& table,
                std::size_t rows, Random& random, const std::string& what) {
  const std::size_t row_bytes = trees.outputs * (trees.float32_sums ? 4U : 8U);
  std::vector<std::byte> expected(rows * row_bytes);
  plain_sums(trees, table.from(0), rows, expected.data());
  const std::size_t block = chance(random, 3) ? 1 + below(random, 9) : 1 + below(random, 600);
  const auto scratch = evaluator.make_scratch(block);
  std::vector<std::byte> sums(rows * row_bytes, std::byte{0x5a});
  for (std::size_t row = 0; row < rows;) {
    const std::size_t now = std::min(rows - row, chance(random, 2) ? block : 1 + row % block);
    evaluator.sums(table.from(row), now, sums.data() + row * row_bytes, *scratch);
    row += now;
  }
  CHECK_EQ(what + differing_rows(sums, expected, row_bytes), what);
}

struct Case {
  OwnedTrees trees;
  std::vector<double> x;
  std::size_t rows;
};

void check_algorithms(const Case& one, Random& random, const std::string& what) {
  const Ensemble trees = one.trees.view();
  REQUIRE(trees.validate().is_ok());
  const Table<double> wide(one.x, trees.features, below(random, 3));
  const Table<float> narrow(one.x, trees.features, below(random, 3));
  for (const char* const name : kAlgorithms) {
    const auto evaluator = compile(trees, {.algorithm = name});
    if (!evaluator.is_ok()) {
      CHECK(evaluator.status().code() == StatusCode::kInvalidArgument);
      CHECK(std::strcmp(name, "auto") != 0 && std::strcmp(name, "plain") != 0);
      continue;
    }
    const std::string where = what + " " + name;
    check_rows(*evaluator.value(), trees, wide, one.rows, random, where + " float64 ");
    check_rows(*evaluator.value(), trees, narrow, one.rows, random, where + " float32 ");
  }
}

void check_seeds(std::uint64_t first, std::uint64_t count, const TreeLimits& limits,
                 std::size_t most_rows) {
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Random random(seed);
    Case one{.trees = random_trees(random, limits), .x = {}, .rows = 1 + below(random, most_rows)};
    one.x = random_rows(random, one.trees, one.rows);
    check_algorithms(one, random, "seed " + std::to_string(seed));
  }
}

TEST(small_trees_on_many_rows) {
  check_seeds(1, 12, {.leaves = 12}, 1100);
}
TEST(trees_of_any_size) {
  check_seeds(1000, 25, {}, 200);
}
TEST(few_rows) {
  check_seeds(2000, 25, {}, 9);
}
TEST(many_features) {
  check_seeds(3000, 6, {.features = 600, .trees = 20, .leaves = 60}, 90);
}
TEST(many_trees_of_few_leaves) {
  check_seeds(4000, 6, {.features = 20, .trees = 600, .leaves = 8, .outputs = 12}, 300);
}
TEST(many_categories) {
  check_seeds(5000, 8, {.trees = 12, .leaves = 40, .categories = 3000}, 200);
}

TEST(boosted_classifiers) {
  check_seeds(7000, 12, {.features = 12, .trees = 300, .leaves = 120, .outputs = 4}, 150);
}

TEST(trees_of_few_levels) {
  check_seeds(6000, 8, {.trees = 150, .leaves = 7, .outputs = 3}, 70);
  check_seeds(6100, 8, {.trees = 90, .leaves = 4, .outputs = 3}, 70);
}
TEST(few_levels_of_one_value_fit_blocks) {
  const OwnedTrees trees = stump(1, 1.0, 2.0);
  const bool has_permutation = find_kernels() != nullptr && find_kernels()->blocks != nullptr;
  CHECK(compile(trees.view(), {.algorithm = "blocks"}).is_ok() == has_permutation);
}

TEST(no_leaf_is_shared) {
  OwnedTrees trees = stump(1, 1.0, 2.0);
  REQUIRE(trees.view().validate().is_ok());
  trees.right[0] = trees.left[0];
  CHECK(trees.view().validate().message().find("another link") != std::string::npos);
}

TEST(wide_models_are_tried_on_few_rows) {
  OwnedTrees trees = stump(1U << 20, 1.0, 2.0);
  const auto evaluator = compile(trees.view(), {});
  REQUIRE(evaluator.is_ok());
  std::vector<double> row(trees.features, 5.0);
  double sum = 0;
  const auto scratch = evaluator.value()->make_scratch(1);
  evaluator.value()->sums({.data = row.data(), .stride = row.size()}, 1, &sum, *scratch);
  double expected = 0;
  plain_sums(trees.view(), {.data = row.data(), .stride = row.size()}, 1, &expected);
  CHECK_EQ(sum, expected);
}

TEST(an_unknown_algorithm_is_refused_by_name) {
  const OwnedTrees trees = stump(1, 1.0, 2.0);
  const Status status = compile(trees.view(), {.algorithm = "abacus"}).status();
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.message().find("abacus") != std::string::npos);
}

}  // namespace
}  // namespace slipstream::forest
