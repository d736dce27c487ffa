// The mean of tensors, against answers worked out by hand (and by numpy's own definitions).
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

TEST(empty_answers_are_combined_too) {
  CHECK(equals<double>(apply(weighted_mean(0), {doubles({}), doubles({})}), {}));
}

void check_refused(const Result<std::vector<Tensor>>& result, const std::string& reason) {
  CHECK(result.status().code() == StatusCode::kInvalidArgument);
  if (result.status().message().find(reason) == std::string::npos) {
    CHECK_EQ(result.status().message(), reason);
  }
}

TEST(answers_that_do_not_go_together_are_refused_with_the_reason) {
  check_refused(apply(weighted_mean(0), {floats({1}), floats({1, 2})}), "[1]");
  check_refused(apply(weighted_mean(0), {labels({1})}), "takes float32 and float64");
  check_refused(apply(weighted_mean(1), {floats({1})}), "no output number 2");
  check_refused(apply(weighted_mean(0), {Tensor{}}), "no output number 1");
  check_refused(apply(weighted_mean(0, {1}), {floats({1}), floats({1})}), "2 members and 1");
  check_refused(apply(weighted_mean(0, {0, 0}), {floats({1}), floats({1})}), "all be zero");
}

}  // namespace
}  // namespace slipstream
