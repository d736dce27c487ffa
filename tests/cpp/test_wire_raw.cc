// Tensors as bytes: used where they lie, converted, refused.
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>

#include "wire/half.h"
#include "wire_fixtures.h"

using namespace wire_fixtures;
using slipstream::wire::RawTensor;

namespace {

template <class T>
std::string bytes_of(const std::vector<T>& elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)};
}

Result<Tensors> take(std::string_view bytes, std::string_view dtype, std::vector<std::int64_t> dims,
                     const InputSchema& schema, const std::shared_ptr<void>& owner = nullptr,
                     const DecodeLimits& limits = {}) {
  return slipstream::decode_raw({bytes, dtype, std::move(dims)}, owner, schema, limits,
                                std::pmr::new_delete_resource());
}

void check_refused(const Result<Tensors>& result, std::string_view words) {
  CHECK(!result.is_ok());
  if (result.is_ok()) return;
  CHECK_EQ(status_code_name(result.status().code()), "invalid_argument");
  if (result.status().message().find(words) == std::string::npos) {
    CHECK_EQ(result.status().message(), words);
  }
}

const InputSchema kDoubles = matrix(DType::kFloat64, {-1, 2}, {"age", "fare"});

}  // namespace

TEST(aligned_bytes_of_the_models_dtype_are_not_copied) {
  const auto owner = std::make_shared<std::vector<double>>(std::vector<double>{1, 2, 3, 4, 5});
  const std::string_view all(reinterpret_cast<const char*>(owner->data()), 5 * sizeof(double));
  const auto viewed = take(all.substr(8, 32), "float64", {2, 2}, kDoubles, owner);
  REQUIRE(viewed.is_ok());
  CHECK(viewed.value()[0].as<double>().data() == owner->data() + 1);
  CHECK(owner.use_count() == 2);
  // Off by a byte, or with nobody to keep them: copied.
  const auto shifted = take(all.substr(1, 32), "float64", {2, 2}, kDoubles, owner);
  REQUIRE(shifted.is_ok());
  CHECK(owner.use_count() == 2);
  const auto copied = take(all.substr(0, 32), "float64", {2, 2}, kDoubles);
  REQUIRE(copied.is_ok());
  CHECK(values<double>(copied.value()[0]) == (std::vector<double>{1, 2, 3, 4}));
}

TEST(columns_that_the_model_drops_become_zero) {
  InputSchema schema = kDoubles;
  schema.ignored = {1};
  schema.accepts_missing = false;
  const auto owner =
      std::make_shared<std::vector<double>>(std::vector<double>{1, std::nan(""), 3, HUGE_VAL});
  const auto result =
      take({reinterpret_cast<const char*>(owner->data()), 32}, "float64", {2, 2}, schema, owner);
  REQUIRE(result.is_ok());
  CHECK(values<double>(result.value()[0]) == (std::vector<double>{1, 0, 3, 0}));
}

TEST(other_dtypes_are_converted_as_numbers_in_json_are) {
  const auto doubles = [](std::string_view bytes, std::string_view dtype) {
    const auto result = take(bytes, dtype, {1, 2}, kDoubles);
    REQUIRE(result.is_ok());
    return values<double>(result.value()[0]);
  };
  using slipstream::wire::Bfloat16;
  using slipstream::wire::Float16;
  const std::vector<double> expected{1, 2};
  CHECK(doubles(bytes_of<std::int8_t>({1, 2}), "int8") == expected);
  CHECK(doubles(bytes_of<std::uint16_t>({1, 2}), "uint16") == expected);
  CHECK(doubles(bytes_of<std::int64_t>({1, 2}), "int64") == expected);
  CHECK(doubles(bytes_of<float>({1, 2}), "float32") == expected);
  CHECK(doubles(bytes_of<Float16>({{0x3C00}, {0x4000}}), "float16") == expected);
  CHECK(doubles(bytes_of<Bfloat16>({{0x3F80}, {0x4000}}), "bfloat16") == expected);
  const auto integers = take(bytes_of<double>({3, -4}), "float64", {2}, tensor(DType::kInt8, {-1}));
  REQUIRE(integers.is_ok());
  CHECK(values<std::int8_t>(integers.value()[0]) == (std::vector<std::int8_t>{3, -4}));
}

TEST(values_that_do_not_fit_are_named_by_place) {
  check_refused(
      take(bytes_of<double>({1, 2, 3, 1.5}), "float64", {2, 2}, matrix(DType::kInt32, {-1, 2})),
      "row 1, column 1: expected an integer, got 1.5");
  check_refused(take(bytes_of<double>({1, 1e300}), "float64", {1, 2},
                     matrix(DType::kFloat32, {-1, 2}, {"age", "fare"})),
                "row 0, column 'fare': 1e+300 is beyond float32");
  check_refused(take(bytes_of<std::int64_t>({1, 300}), "int64", {2}, tensor(DType::kInt8, {-1})),
                "input 'x' at [1]: 300 is beyond int8");
  check_refused(take(bytes_of<std::int8_t>({-1}), "int8", {1}, tensor(DType::kUint8, {-1})),
                "input 'x' at [0]: -1 is beyond uint8");
  check_refused(take(bytes_of<std::uint8_t>({1, 2}), "bool", {2}, tensor(DType::kBool, {-1})),
                "input 'x' at [1]: expected true or false, got 2");
  InputSchema strict = kDoubles;
  strict.accepts_missing = false;
  check_refused(take(bytes_of<double>({1, 2, 3, std::nan("")}), "float64", {2, 2}, strict),
                "row 1, column 'fare': NaN, which this model does not accept");
  check_refused(take(bytes_of<float>({1, -HUGE_VALF}), "float32", {1, 2}, strict),
                "row 0, column 'fare': -Infinity, which this model does not accept");
}

TEST(shapes_that_do_not_fit) {
  const std::string eight(64, '\0');
  check_refused(take(eight, "float64", {2, 3}, kDoubles),
                "data: float64 of the shape [2, 3] takes 6 × 8 bytes, got 64 bytes");
  check_refused(take(eight, "float64", {-4, -2}, kDoubles), "[-4, -2] has a negative dimension");
  check_refused(take("", "float64", {std::int64_t{1} << 40, std::int64_t{1} << 40, 0}, kDoubles),
                "is too large");
  check_refused(take("", "int8", {std::int64_t{1} << 62, 2}, kDoubles), "is too large");
  check_refused(take("", "float64", {std::int64_t{1} << 61, 2}, kDoubles), "takes");
  check_refused(take(eight, "float64", {8}, kDoubles), "data has the shape [8], expected [?, 2]");
  check_refused(take(eight, "float64", {2, 4}, kDoubles), "row 0: expected 2 columns, got 4");
  check_refused(take("", "float64", {0, 2}, kDoubles), "data has no rows");
  check_refused(take(eight, "float64", std::vector<std::int64_t>(40, 1), kDoubles),
                "of 40 dimensions");
  check_refused(take(eight, "double", {4, 2}, kDoubles), "data: 'double' is not a dtype");
  check_refused(take(eight, "string", {1, 2}, kDoubles), "strings have no binary form");
  check_refused(take(eight, "float64", {8}, tensor(DType::kString, {-1})), "takes strings");
  check_refused(take("\1", "bool", {1}, tensor(DType::kInt8, {-1})), "takes int8, got bool");
  DecodeLimits few;
  few.max_rows = 3;
  check_refused(take(eight, "float64", {4, 2}, kDoubles, nullptr, few), "more than 3 rows");
  few = {};
  few.max_elements = 7;
  check_refused(take(eight, "float64", {4, 2}, kDoubles, nullptr, few), "more than 7 values");
  // No elements, but an answer of that shape would be eight lists.
  check_refused(take("", "int8", {1, 8, 0}, tensor(DType::kInt8, {-1, -1, -1}), nullptr, few),
                "more than 7 values");
}

TEST(a_table_of_columns) {
  InputSchema schema{Layout::kColumns,
                     {{"age", DType::kInt8, {-1, 1}}, {"fare", DType::kFloat32, {-1}}},
                     {},
                     true};
  const auto result = take(bytes_of<double>({1, 2.5, 3, 4.5}), "float64", {2, 2}, schema);
  REQUIRE(result.is_ok());
  CHECK(values<std::int8_t>(result.value()[0]) == (std::vector<std::int8_t>{1, 3}));
  CHECK(values<float>(result.value()[1]) == (std::vector<float>{2.5, 4.5}));
  CHECK_EQ(dims(result.value()[0]), "[2, 1]");
  check_refused(take(bytes_of<double>({1, 2.5, 3.5, 4.5}), "float64", {2, 2}, schema),
                "row 1, column 'age': expected an integer, got 3.5");
  schema.inputs[0].dtype = DType::kString;
  check_refused(take(bytes_of<double>({1, 2}), "float64", {1, 2}, schema),
                "column 'age' takes strings");
}

TEST(models_of_several_inputs_take_messagepack) {
  const InputSchema two{
      Layout::kTensors, {{"a", DType::kInt8, {-1}}, {"b", DType::kFloat64, {-1}}}, {}, true};
  check_refused(take("\1", "int8", {1}, two), "has 2 inputs and a binary body holds one tensor");
}

TEST(a_tensor_without_elements_is_one) {
  CHECK(Tensor().data() == nullptr);
  CHECK(Tensor::wrap(DType::kFloat32, {2, 0}, nullptr, nullptr).data() != nullptr);
  CHECK(Tensor::wrap(DType::kFloat32, {2, 1}, nullptr, nullptr).data() == nullptr);
}

TEST(scalars_and_empty_tensors) {
  const auto scalar = take("\7", "int8", {}, tensor(DType::kFloat32, {}));
  REQUIRE(scalar.is_ok());
  CHECK(values<float>(scalar.value()[0]) == std::vector<float>{7});
  const auto empty = take("", "int8", {2, 0}, tensor(DType::kInt8, {-1, -1}));
  REQUIRE(empty.is_ok());
  CHECK_EQ(dims(empty.value()[0]), "[2, 0]");
}
