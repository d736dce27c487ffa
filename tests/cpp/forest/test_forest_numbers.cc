// Steps from numbers to numbers: each against what the formats' page says, worked out by hand or by
// the plainest code.
#include <cmath>

#include "forest/step_fixture.h"

namespace slipstream::forest {
namespace {

TEST(arithmetic_with_a_constant_a_column_or_another_value) {
  const Tensor x = doubles(2, {1, 2, 3, kNaN, -0.0, kInf});
  CHECK_EQ(text_of(run_step(Op::kAdd, {x}, {array_of({10.0, 20.0})})),
           expected({11, 22, 13, kNaN, 10, kInf}));
  CHECK_EQ(text_of(run_step(Op::kSubtract, {x}, {array_of({1.0})})),
           expected({0, 1, 2, kNaN, -1, kInf}));
  CHECK_EQ(text_of(run_step(Op::kMultiply, {x}, {array_of({-1.0, 0.5})})),
           expected({-1, 1, -3, kNaN, 0, kInf}));
  CHECK_EQ(text_of(run_step(Op::kDivide, {x}, {array_of({0.0, 3.0})})),
           expected({kInf, 2.0 / 3.0, kInf, kNaN, kNaN, kInf}));
  const Tensor y = doubles(2, {4, 3, 2, 1, 0.5, kInf});
  CHECK_EQ(text_of(run_step(Op::kSubtract, {x, y})), expected({-3, -1, 1, kNaN, -0.5, kNaN}));
  CHECK_EQ(text_of(run_step(Op::kDivide, {x, y})),
           expected({0.25, 2.0 / 3.0, 1.5, kNaN, -0.0, kNaN}));
}

TEST(arithmetic_refuses_what_does_not_fit) {
  const Tensor x = doubles(2, {1, 2});
  CHECK(refusal(Op::kAdd, {x}).find("arrays") != std::string::npos);
  CHECK(refusal(Op::kAdd, {x}, {array_of({1.0, 2.0, 3.0})}).find("per column") !=
        std::string::npos);
  CHECK(!refusal(Op::kAdd, {x}, {array_of({})}).empty());
  CHECK(refusal(Op::kAdd, {x}, {array_of<std::int64_t>({1})}).find("int64") != std::string::npos);
  CHECK(refusal(Op::kAdd, {x, doubles(1, {1})}).find("columns") != std::string::npos);
  CHECK(!refusal(Op::kAdd, {x, x}, {array_of({1.0})}).empty());
  CHECK(!refusal(Op::kAdd, {x, x, x}).empty());
  CHECK(!refusal(Op::kAdd, {x}, {array_of({1.0})}, {1.0}).empty());
  CHECK(refusal(Op::kAdd, {floats(2, {1, 2})}, {array_of({1.0})}).find("float32") !=
        std::string::npos);
}

TEST(clip_keeps_nan) {
  const Tensor x = doubles(1, {-kInf, -1, 0.5, 2, kInf, kNaN});
  CHECK_EQ(text_of(run_step(Op::kClip, {x}, {}, {0, 1})), expected({0, 0, 0.5, 1, 1, kNaN}));
  CHECK(!refusal(Op::kClip, {x}, {}, {kNaN, 1}).empty());
}

TEST(functions_in_both_precisions) {
  const std::vector<double> points = {-2.5, -0.5, 0, 0.25, 0.4, 0.625, 1, 3, 80, kNaN, kInf, -kInf};
  using Function = double (*)(double);
  const Function functions[] = {[](double x) { return std::exp(x); },
                                [](double x) { return std::log(x); },
                                [](double x) { return std::sqrt(x); },
                                [](double x) { return -x; },
                                [](double x) { return std::fabs(x); },
                                [](double x) { return std::log1p(std::exp(x)); },
                                [](double x) { return x > 0   ? x * x
                                                      : x < 0 ? -x * x
                                                              : 0 * x; },
                                [](double x) { return 1 / (1 + std::exp(-x)); },
                                [](double x) { return x * x; },
                                [](double x) { return std::exp2(x); },
                                [](double x) { return std::log1p(x); },
                                [](double x) { return std::expm1(x); },
                                [](double x) { return 1 / x; },
                                [](double x) {
                                  return x < 0.3 || x > 0.65 ? std::log(x / (1 - x))
                                                             : std::log1p(2 * (x - 0.5)) -
                                                                   std::log1p(-2 * (x - 0.5));
                                }};
  for (std::size_t code = 0; code < std::size(functions); ++code) {
    std::vector<double> answers;
    for (const double x : points) answers.push_back(functions[code](x));
    const auto scalar = static_cast<double>(code);
    CHECK_EQ(text_of(run_step(Op::kFunction, {doubles(1, points)}, {}, {scalar})),
             expected(answers));
    const std::vector<float> narrow(points.begin(), points.end());
    const Tensor result = run_step(Op::kFunction, {floats(1, narrow)}, {}, {scalar});
    REQUIRE(result.dtype() == DType::kFloat32);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double got = static_cast<double>(result.as<float>()[i]);
      const double wanted = static_cast<double>(static_cast<float>(answers[i]));
      const bool same = std::isnan(wanted) ? std::isnan(got)
                                           : got == wanted || std::fabs(got / wanted - 1) < 1e-6;
      CHECK(same);
    }
  }
  CHECK(!refusal(Op::kFunction, {doubles(1, {1})}, {}, {14}).empty());
  CHECK(!refusal(Op::kFunction, {doubles(1, {1})}, {}, {0.5}).empty());
  CHECK(!refusal(Op::kFunction, {doubles(1, {1})}, {}, {kNaN}).empty());
  CHECK(!refusal(Op::kFunction, {integers(1, {1})}, {}, {0}).empty());
}

TEST(sigmoids_of_the_libraries) {
  const Tensor x = doubles(2, {0, 1.5, -800, 800});
  CHECK_EQ(text_of(run_step(Op::kSigmoid, {x}, {}, {2.0, 0})),
           expected({0.5, 1 / (1 + std::exp(-3.0)), 0, 1}));
  const Tensor y = floats(1, {0, 1.5F, -1000, 1000});
  CHECK_EQ(text_of<float>(run_step(Op::kSigmoid, {y}, {}, {1.0, 1})),
           expected<float>({0.5F, 1.0F / (std::exp(-1.5F) + 1.0F + 1e-16F),
                            1.0F / (std::exp(88.7F) + 1.0F), 1.0F}));
  CHECK(!refusal(Op::kSigmoid, {x}, {}, {1.0, 1}).empty());  // XGBoost's takes float32
  CHECK(!refusal(Op::kSigmoid, {y}, {}, {2.0, 1}).empty());  // and has no scale
  CHECK(!refusal(Op::kSigmoid, {y}, {}, {1.0, 2}).empty());
}

TEST(softmaxes_of_the_libraries) {
  const std::vector<double> row = {1, 3, 2, -1e30};
  const double sum = std::exp(-2.0) + 1 + std::exp(-1.0);
  const std::string answer = expected({std::exp(-2.0) / sum, 1 / sum, std::exp(-1.0) / sum, 0});
  for (const double variant : {0.0, 1.0}) {
    CHECK_EQ(text_of(run_step(Op::kSoftmax, {doubles(4, row)}, {}, {variant})), answer);
  }
  const auto narrow_sum = static_cast<float>(static_cast<double>(std::exp(-2.0F)) + 1.0 +
                                             static_cast<double>(std::exp(-1.0F)));
  CHECK_EQ(text_of<float>(run_step(Op::kSoftmax, {floats(3, {1, 3, 2})}, {}, {2})),
           expected<float>(
               {std::exp(-2.0F) / narrow_sum, 1 / narrow_sum, std::exp(-1.0F) / narrow_sum}));
  CHECK_EQ(text_of(run_step(Op::kSoftmax, {doubles(2, {1, kNaN})}, {}, {0})),
           expected({kNaN, kNaN}));
  CHECK(!refusal(Op::kSoftmax, {doubles(2, {1, 2})}, {}, {2}).empty());
  CHECK(!refusal(Op::kSoftmax, {doubles(2, {1, 2})}, {}, {3}).empty());
}

// Sums that depend on their order, by a width on each side of NumPy's steps.
TEST(sums_are_made_in_numpys_order) {
  for (const std::size_t width : {2U, 7U, 8U, 9U, 128U, 129U, 300U}) {
    std::vector<double> row;
    for (std::size_t i = 0; i < width; ++i) {
      row.push_back(
          std::ldexp(1.0 + static_cast<double>(i * i % 97) / 97.0, static_cast<int>(i * 7 % 40)));
    }
    double lanes[8] = {};
    double pairwise = 0;
    if (width < 8) {
      for (const double x : row) pairwise += x;
    } else {
      // As blocks of at most 128: [0, width) or its halves, the first a multiple of 8.
      std::vector<std::pair<std::size_t, std::size_t>> blocks{{0, width}};
      if (width > 128) {
        const std::size_t half = width / 2 - width / 2 % 8;
        blocks = {{0, half}, {half, width}};
        if (width - half > 128) {
          const std::size_t rest = width - half;
          const std::size_t quarter = rest / 2 - rest / 2 % 8;
          blocks = {{0, half / 2 - half / 2 % 8},
                    {half / 2 - half / 2 % 8, half},
                    {half, half + quarter},
                    {half + quarter, width}};
        }
      }
      std::vector<double> sums;
      for (const auto& [begin, end] : blocks) {
        std::fill(std::begin(lanes), std::end(lanes), 0.0);
        const std::size_t whole = (end - begin) / 8 * 8;
        for (std::size_t i = 0; i < whole; ++i) lanes[i % 8] += row[begin + i];
        double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                     ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
        for (std::size_t i = begin + whole; i < end; ++i) sum += row[i];
        sums.push_back(sum);
      }
      pairwise = sums.size() == 4   ? (sums[0] + sums[1]) + (sums[2] + sums[3])
                 : sums.size() == 2 ? sums[0] + sums[1]
                                    : sums[0];
    }
    std::vector<double> shares;
    for (const double x : row) shares.push_back(x / pairwise);
    const auto columns = static_cast<std::int64_t>(width);
    CHECK_EQ(text_of(run_step(Op::kNormalize, {doubles(columns, row)}, {}, {0})), expected(shares));
    double left_to_right = 0;
    for (const double x : row) left_to_right += x;
    CHECK_EQ(text_of(run_step(Op::kSumColumns, {doubles(columns, row)})),
             expected({left_to_right}));
  }
}

TEST(normalize_where_the_sum_is_zero) {
  const Tensor x = doubles(2, {1, 3, 0, 0, kNaN, 1});
  CHECK_EQ(text_of(run_step(Op::kNormalize, {x}, {}, {0})),
           expected({0.25, 0.75, 0.5, 0.5, kNaN, kNaN}));
  CHECK_EQ(text_of(run_step(Op::kNormalize, {x}, {}, {1})),
           expected({0.25, 0.75, 0, 0, kNaN, kNaN}));
}

TEST(complement_of_one_column) {
  CHECK_EQ(text_of(run_step(Op::kComplement, {doubles(1, {0.25, 1})})),
           expected({0.75, 0.25, 0, 1}));
  CHECK_EQ(text_of<float>(run_step(Op::kComplement, {floats(1, {0.1F})})),
           expected<float>({1.0F - 0.1F, 0.1F}));
  CHECK(!refusal(Op::kComplement, {doubles(2, {1, 2})}).empty());
}

TEST(matmul_adds_in_the_order_of_columns) {
  const Tensor x = doubles(3, {1, 2, 3, 1e16, 1, -1e16});
  CHECK_EQ(text_of(run_step(Op::kMatmul, {x}, {array_of({1.0, 10.0, 1.0, 20.0, 1.0, 30.0})}, {2})),
           expected({6, 140, 1e16 + 1 - 1e16, 1e17 + 20 - 3e17}));
  CHECK(!refusal(Op::kMatmul, {x}, {array_of({1.0, 2.0})}, {1}).empty());
  CHECK(!refusal(Op::kMatmul, {x}, {array_of({})}, {0}).empty());
  CHECK(!refusal(Op::kMatmul, {x}, {array_of({1.0, 2.0, 3.0})}, {1e9}).empty());
}

TEST(weighted_median_is_adaboosts) {
  const WrittenArray weights = array_of({1.0, 2.0, 1.0});
  const Tensor x = doubles(3, {30, 10, 20, 10, 30, 20, 5, 5, 5, kNaN, 1, 2});
  CHECK_EQ(text_of(run_step(Op::kWeightedMedian, {x}, {weights})), expected({10, 20, 5, 1}));
  CHECK_EQ(text_of(run_step(Op::kWeightedMedian, {x}, {array_of({0.0, 0.0, 0.0})})),
           expected({10, 10, 5, 1}));
  CHECK_EQ(text_of(run_step(Op::kWeightedMedian, {x}, {array_of({kNaN, 1.0, 1.0})})),
           expected({10, 10, 5, 1}));
  CHECK(!refusal(Op::kWeightedMedian, {x}, {array_of({1.0})}).empty());
}

TEST(missing_values_are_found_and_replaced) {
  const Tensor x = doubles(2, {1, kNaN, -1, 0});
  CHECK_EQ(text_of(run_step(Op::kIsMissing, {x}, {}, {kNaN})), expected({0, 1, 0, 0}));
  CHECK_EQ(text_of(run_step(Op::kIsMissing, {x}, {}, {-1})), expected({0, 0, 1, 0}));
  CHECK_EQ(text_of(run_step(Op::kReplaceMissing, {x}, {array_of({7.0, 8.0})}, {kNaN})),
           expected({1, 8, -1, 0}));
  CHECK_EQ(text_of(run_step(Op::kReplaceMissing, {x}, {array_of({7.0, 8.0})}, {0})),
           expected({1, kNaN, -1, 8}));
  CHECK(!refusal(Op::kReplaceMissing, {x}, {array_of({7.0})}, {kNaN}).empty());
}

TEST(trees_are_a_step_like_others) {
  ForestWriter writer;
  const auto x = writer.input("x", DType::kFloat32, 2);
  writer.output("y", writer.trees(x, stump(2, -1, 1)));
  const Loaded loaded(writer.bytes());
  REQUIRE(loaded.status().is_ok());
  const Tensor rows[] = {floats(2, {0, 9, 1, 9, 0.5F, 9})};
  CHECK_EQ(text_of(loaded.run(rows)[0]), expected({-1, 1, -1}));
}

TEST(trees_that_cannot_be_are_refused) {
  const auto complaint = [](const OwnedTrees& trees, DType dtype = DType::kFloat64) {
    ForestWriter writer;
    writer.output("y", writer.trees(writer.input("x", dtype, 2), trees));
    return Loaded(writer.bytes()).status().message();
  };
  OwnedTrees trees = stump(2, 0, 1);
  CHECK_EQ(complaint(trees), "");
  CHECK(complaint(trees, DType::kInt64).find("int64") != std::string::npos);
  CHECK(complaint(stump(3, 0, 1)).find("step 0 (trees)") != std::string::npos);
  trees.left[0] = 0;  // a cycle
  CHECK(!complaint(trees).empty());
  trees = stump(2, 0, 1);
  trees.right[0] = ~2;
  CHECK(!complaint(trees).empty());
  trees = stump(2, 0, 1);
  trees.feature[0] = 2;
  CHECK(!complaint(trees).empty());
  trees = stump(2, 0, 1);
  trees.zero_flush = true;
  trees.comparison = Comparison::kLess32;
  CHECK(complaint(trees).find("zero_flush") != std::string::npos);
}

}  // namespace
}  // namespace slipstream::forest
