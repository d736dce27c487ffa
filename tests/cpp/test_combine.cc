// The standard combiners, against answers worked out by hand (and by numpy's own definitions).
#include "core/compose/combine.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace slipstream {
namespace {

template <class T>
Tensor tensor_of(DType dtype, std::initializer_list<T> values) {
  Tensor tensor = Tensor::allocate(dtype, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.as<T>().begin());
  return tensor;
}
Tensor floats(std::initializer_list<float> values) {
  return tensor_of<float>(DType::kFloat32, values);
}
Tensor doubles(std::initializer_list<double> values) {
  return tensor_of<double>(DType::kFloat64, values);
}
Tensor labels(std::initializer_list<std::int64_t> values) {
  return tensor_of<std::int64_t>(DType::kInt64, values);
}

// One output a member.
Result<std::vector<Tensor>> apply(const Combine& combine, std::initializer_list<Tensor> members) {
  std::vector<std::vector<Tensor>> answers;
  for (const Tensor& member : members) answers.push_back({member});
  return combine(answers);
}

template <class T>
bool equals(const Result<std::vector<Tensor>>& result, std::initializer_list<T> expected) {
  if (!result.is_ok() || result.value().size() != 1) return false;
  return std::ranges::equal(result.value().front().as<T>(), expected);
}

TEST(the_mean_is_weighted_and_keeps_float32) {
  const auto plain = apply(weighted_mean(0), {floats({1, 2}), floats({3, 6})});
  REQUIRE(plain.is_ok());
  CHECK(plain.value().front().dtype() == DType::kFloat32);
  CHECK(equals<float>(plain, {2, 4}));
  CHECK(equals<float>(apply(weighted_mean(0, {3, 1}), {floats({1, 2}), floats({5, 6})}), {2, 3}));
}

TEST(the_mean_is_float64_if_any_member_is) {
  CHECK(equals<double>(apply(weighted_mean(0), {floats({1}), doubles({2})}), {1.5}));
}

TEST(the_mean_of_equals_is_exact_and_nan_stays) {
  CHECK(equals<double>(apply(weighted_mean(0), {doubles({0.1}), doubles({0.1}), doubles({0.1})}),
                       {(0.1 + 0.1 + 0.1) / 3}));
  const auto result =
      apply(weighted_mean(0), {doubles({std::numeric_limits<double>::quiet_NaN()}), doubles({1})});
  REQUIRE(result.is_ok());
  CHECK(std::isnan(result.value().front().as<double>()[0]));
}

TEST(the_vote_counts_weights_and_ties_go_to_the_smallest_label) {
  CHECK(equals<std::int64_t>(
      apply(weighted_vote(0), {labels({1, 2, 7}), labels({1, 0, 5}), labels({3, 0, 6})}),
      {1, 0, 5}));
  CHECK(equals<std::int64_t>(
      apply(weighted_vote(0, {3, 1, 1}), {labels({9, -4}), labels({2, 5}), labels({2, 5})}),
      {9, -4}));
  CHECK(equals<std::int64_t>(apply(weighted_vote(0, {0.5, 0.5}), {labels({4}), labels({3})}), {3}));
}

TEST(the_vote_takes_every_integer_type_and_bool) {
  const Tensor narrow = tensor_of<std::int8_t>(DType::kInt8, {-1});
  const Tensor wide = tensor_of<std::uint64_t>(DType::kUint64, {7});
  const Tensor flag = tensor_of<std::uint8_t>(DType::kBool, {1});
  CHECK(equals<std::int64_t>(apply(weighted_vote(0, {2, 1, 1}), {narrow, wide, flag}), {-1}));
  const Tensor huge = tensor_of<std::uint64_t>(DType::kUint64, {~std::uint64_t{0}});
  CHECK(apply(weighted_vote(0), {huge}).status().code() == StatusCode::kInvalidArgument);
}

TEST(empty_answers_are_combined_too) {
  CHECK(equals<double>(apply(weighted_mean(0), {doubles({}), doubles({})}), {}));
  CHECK(equals<std::int64_t>(apply(weighted_vote(0), {labels({}), labels({})}), {}));
}

void check_refused(const Result<std::vector<Tensor>>& result, const std::string& reason) {
  CHECK(result.status().code() == StatusCode::kInvalidArgument);
  if (result.status().message().find(reason) == std::string::npos) {
    CHECK_EQ(result.status().message(), reason);
  }
}

TEST(answers_that_do_not_go_together_are_refused_with_the_reason) {
  check_refused(apply(weighted_mean(0), {floats({1}), floats({1, 2})}), "[1]");
  check_refused(apply(weighted_mean(0), {labels({1})}), "vote over labels");
  check_refused(apply(weighted_vote(0), {floats({1})}), "mean of numbers");
  check_refused(apply(weighted_mean(1), {floats({1})}), "no output number 2");
  check_refused(apply(weighted_mean(0), {Tensor{}}), "no output number 1");
  check_refused(apply(weighted_mean(0, {1}), {floats({1}), floats({1})}), "2 members and 1");
  check_refused(apply(weighted_mean(0, {0, 0}), {floats({1}), floats({1})}), "all be zero");
  check_refused(apply(weighted_vote(0, {1, -1}), {labels({1}), labels({1})}), "not negative");
  check_refused(apply(weighted_vote(0, {1, std::nan("")}), {labels({1}), labels({1})}), "finite");
}

}  // namespace
}  // namespace slipstream
