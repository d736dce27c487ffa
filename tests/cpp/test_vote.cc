// Votes and means over columns, against answers worked out by hand (and by scikit-learn's own
// definitions), and the ways in which members may write theirs.
#include "core/compose/vote.h"

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

using Answer = std::vector<Tensor>;

template <class T>
Tensor tensor_of(DType dtype, Shape shape, std::initializer_list<T> values) {
  Tensor tensor = Tensor::allocate(dtype, std::move(shape));
  REQUIRE(static_cast<std::int64_t>(values.size()) == tensor.elements());
  std::ranges::copy(values, tensor.as<T>().begin());
  return tensor;
}
Tensor doubles(Shape shape, std::initializer_list<double> values) {
  return tensor_of<double>(DType::kFloat64, std::move(shape), values);
}
Tensor labels(std::initializer_list<std::int64_t> values) {
  return tensor_of<std::int64_t>(DType::kInt64, {static_cast<std::int64_t>(values.size())}, values);
}
Tensor texts(std::initializer_list<const char*> values) {
  Tensor tensor = Tensor::allocate(DType::kString, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.strings().begin());
  return tensor;
}

ColumnReader reader(std::string member, std::size_t width = 1) {
  return {.member = std::move(member), .width = width};
}

Result<Answer> apply(const Result<Combine>& combine, std::initializer_list<Tensor> members) {
  REQUIRE(combine.is_ok());
  std::vector<Answer> answers;
  for (const Tensor& member : members) answers.push_back({member});
  return combine.value()(answers);
}

template <class T>
bool holds(const Result<Answer>& result, std::size_t output, std::initializer_list<T> expected) {
  return result.is_ok() && output < result.value().size() &&
         std::ranges::equal(result.value()[output].as<T>(), expected);
}

bool mentions(const Status& status, const std::string& text) {
  return status.code() == StatusCode::kInvalidArgument &&
         status.message().find(text) != std::string::npos;
}

TEST(a_soft_vote_takes_the_mean_and_its_largest_class) {
  const auto vote = soft_vote({reader("a", 2), reader("b", 2)}, {});
  const auto result =
      apply(vote, {doubles({2, 2}, {0.9, 0.1, 0.5, 0.5}), doubles({2, 2}, {0.3, 0.7, 0.5, 0.5})});
  CHECK(holds<std::int64_t>(result, 0, {0, 0}));  // of equals the first
  CHECK(holds<double>(result, 1, {(0.9 + 0.3) / 2, (0.1 + 0.7) / 2, 0.5, 0.5}));
  CHECK_EQ(result.value()[1].shape().rank(), 2U);
}

TEST(a_soft_vote_is_weighted_and_reads_float32) {
  const auto vote = soft_vote({reader("a", 2), reader("b", 2)}, {1, 3});
  const auto result = apply(
      vote, {tensor_of<float>(DType::kFloat32, {1, 2}, {1.0F, 0.0F}), doubles({1, 2}, {0.0, 1.0})});
  CHECK(holds<double>(result, 1, {0.25, 0.75}));
  CHECK(holds<std::int64_t>(result, 0, {1}));
}

TEST(a_hard_vote_counts_weights_and_ties_go_to_the_first_class) {
  const std::vector<ColumnReader> three{reader("a"), reader("b"), reader("c")};
  CHECK(holds<std::int64_t>(
      apply(hard_vote(three, {}), {labels({1, 2, 7}), labels({1, 0, 5}), labels({3, 0, 6})}), 0,
      {1, 0, 5}));
  CHECK(holds<std::int64_t>(
      apply(hard_vote(three, {3, 1, 1}), {labels({9, 4}), labels({2, 5}), labels({2, 5})}), 0,
      {9, 4}));
}

TEST(members_may_write_labels_as_text_as_numbers_or_as_places) {
  ColumnReader text = reader("text");
  text.text_labels = {"calm", "wild"};
  ColumnReader whole = reader("whole");
  whole.whole_labels = {-5, 7};
  const auto vote = hard_vote({text, whole, reader("place")}, {});
  const Tensor column = tensor_of<std::int64_t>(DType::kInt64, {2, 1}, {7, -5});
  CHECK(holds<std::int64_t>(apply(vote, {texts({"wild", "calm"}), column, labels({0, 1})}), 0,
                            {1, 0}));
  CHECK(
      mentions(apply(vote, {texts({"odd"}), labels({7}), labels({0})}).status(), "member 'text'"));
  CHECK(mentions(apply(vote, {texts({"wild"}), labels({8}), labels({0})}).status(), "label 8"));
  const Tensor huge = doubles({1}, {1e300});
  CHECK(mentions(apply(vote, {texts({"wild"}), huge, labels({0})}).status(), "beyond int64"));
  CHECK(mentions(apply(vote, {texts({"wild"}), doubles({1}, {std::nan("")}), labels({0})}).status(),
                 "member 'whole'"));
}

TEST(every_type_of_number_is_read) {
  const auto vote = hard_vote({reader("a"), reader("b"), reader("c"), reader("d")}, {});
  CHECK(holds<std::int64_t>(apply(vote, {tensor_of<std::int8_t>(DType::kInt8, {1}, {1}),
                                         tensor_of<std::uint16_t>(DType::kUint16, {1}, {1}),
                                         tensor_of<std::uint8_t>(DType::kBool, {1}, {1}),
                                         tensor_of<std::uint64_t>(DType::kUint64, {1}, {0})}),
                            0, {1}));
  const Tensor half = Tensor::allocate(DType::kFloat16, {1});
  CHECK(mentions(apply(hard_vote({reader("h")}, {}), {half}).status(), "float16"));
  CHECK(mentions(apply(hard_vote({reader("t")}, {}), {texts({"x"})}).status(), "text"));
}

TEST(the_mean_is_flat_for_one_column_and_keeps_nan) {
  const auto mean = mean_of_columns({reader("a"), reader("b")}, {3, 1});
  const auto flat = apply(mean, {doubles({2, 1}, {1, 2}), doubles({2}, {5, 6})});
  CHECK(holds<double>(flat, 0, {2, 3}));
  CHECK_EQ(flat.value()[0].shape().rank(), 1U);
  const auto wide = mean_of_columns({reader("a", 2), reader("b", 2)}, {});
  CHECK(holds<double>(apply(wide, {doubles({1, 2}, {1, 2}), doubles({1, 2}, {3, 6})}), 0, {2, 4}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(
      std::isnan(apply(mean, {doubles({1}, {nan}), doubles({1}, {1})}).value()[0].as<double>()[0]));
  CHECK(holds<double>(apply(mean, {doubles({0}, {}), doubles({0}, {})}), 0, {}));
}

TEST(columns_in_front_may_be_left_out) {
  ColumnReader second = reader("a", 2);
  second.skip = 1;
  const Result<Columns> columns =
      read_columns(second, std::vector{doubles({2, 2}, {0.9, 0.1, 0.4, 0.6})});
  REQUIRE(columns.is_ok());
  CHECK(columns.value().values == std::vector<double>({0.1, 0.6}));
}

TEST(what_does_not_go_together_is_refused_with_the_members_name) {
  CHECK(mentions(soft_vote({reader("a", 2), reader("b", 3)}, {}).status(), "member 'b' 3"));
  CHECK(mentions(soft_vote({}, {}).status(), "at least one member"));
  CHECK(mentions(hard_vote({reader("a", 2)}, {}).status(), "one label"));
  const std::vector<ColumnReader> two{reader("a"), reader("b")};
  CHECK(mentions(mean_of_columns(two, {1}).status(), "2 members and 1"));
  CHECK(mentions(mean_of_columns(two, {0, 0}).status(), "all be zero"));
  CHECK(mentions(mean_of_columns(two, {1, -1}).status(), "not negative"));
  CHECK(mentions(mean_of_columns(two, {1, std::nan("")}).status(), "finite"));
  const auto mean = mean_of_columns(two, {});
  CHECK(mentions(apply(mean, {doubles({1}, {1}), doubles({1, 2}, {1, 2})}).status(),
                 "member 'b': it answers with shape [1, 2]"));
  CHECK(mentions(apply(mean, {doubles({1}, {1}), doubles({2}, {1, 2})}).status(), "2"));
  CHECK(mentions(apply(mean, {doubles({1}, {1}), Tensor{}}).status(), "member 'b': it has no"));
}

}  // namespace
}  // namespace slipstream
