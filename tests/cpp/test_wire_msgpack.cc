// MessagePack to tensors, and tensors to MessagePack.
#include <cmath>
#include <limits>

#include "wire/half.h"
#include "wire_fixtures.h"

using namespace wire_fixtures;
using namespace std::string_view_literals;

namespace {

const InputSchema kFloats = matrix(DType::kFloat32, {-1, 2}, {"age", "fare"});

Result<Tensors> unpack(std::string_view bytes, const InputSchema& schema,
                       const DecodeLimits& limits = {}) {
  return slipstream::decode_msgpack(bytes, nullptr, schema, limits,
                                    std::pmr::new_delete_resource());
}

Tensors good_pack(std::string_view bytes, const InputSchema& schema) {
  Result<Tensors> result = unpack(bytes, schema);
  if (!result.is_ok()) CHECK_EQ(result.status().message(), "");
  REQUIRE(result.is_ok());
  return std::move(result).value();
}

void check_refused(std::string_view bytes, const InputSchema& schema, StatusCode code,
                   std::string_view words) {
  const auto result = unpack(bytes, schema);
  CHECK(!result.is_ok());
  if (result.is_ok()) return;
  CHECK_EQ(status_code_name(result.status().code()), status_code_name(code));
  if (result.status().message().find(words) == std::string::npos) {
    CHECK_EQ(result.status().message(), words);
  }
}

std::string packed(const Tensor& tensor) {
  std::string out;
  slipstream::encode_tensor_msgpack(tensor, out);
  return out;
}

template <class T>
Tensor make(DType dtype, Shape shape, const std::vector<T>& elements) {
  Tensor result = Tensor::allocate(dtype, std::move(shape));
  REQUIRE(result.elements() == static_cast<std::int64_t>(elements.size()));
  std::copy(elements.begin(), elements.end(), result.as<T>().begin());
  return result;
}

}  // namespace

TEST(rows_of_numbers_in_every_width) {
  const Tensors tensors = good_pack(
      "\x98"
      "\x92\x01\xFF"                                                                  // fixint
      "\x92\xCC\xC8\xD0\x80"                                                          // 8 bits
      "\x92\xCD\x01\x00\xD1\xFF\x00"                                                  // 16
      "\x92\xCE\x00\x01\x00\x00\xD2\xFF\xFF\x00\x00"                                  // 32
      "\x92\xCF\x00\x00\x00\x01\x00\x00\x00\x00\xD3\xFF\xFF\xFF\xFF\x00\x00\x00\x00"  // 64
      "\x92\xCA\x3F\x00\x00\x00\xCB\xBF\xE0\x00\x00\x00\x00\x00\x00"                  // 0.5, -0.5
      "\xDC\x00\x02\x00\xE0"             // a list with its size in 16 bits
      "\xDD\x00\x00\x00\x02\x7F\xC0"sv,  // 32; nil is missing
      kFloats);
  const auto got = values<float>(tensors[0]);
  const std::vector<float> expected{1,       -1,       200,  -128,  256, -256, 65536, -65536,
                                    0x1p32F, -0x1p32F, 0.5F, -0.5F, 0,   -32,  127};
  CHECK(std::equal(expected.begin(), expected.end(), got.begin()));
  CHECK(got.size() == 16 && std::isnan(got[15]));
}

TEST(rows_of_objects) {
  const Tensors tensors = good_pack(
      "\x92\x82\xA3"
      "age\x01\xA4"
      "fare\x02\x82\xD9\x04"
      "fare\x04\xA3"
      "age\x03"sv,
      kFloats);
  CHECK(values<float>(tensors[0]) == (std::vector<float>{1, 2, 3, 4}));
  check_refused(
      "\x91\x82\xA3"
      "age\x01\xA3"
      "age\x02"sv,
      kFloats, StatusCode::kInvalidArgument, "row 0: column 'age' appears twice");
  check_refused(
      "\x91\x81\xA3"
      "age\x01"sv,
      kFloats, StatusCode::kInvalidArgument, "row 0: column 'fare' is missing");
  check_refused("\x91\x81\x01\x01"sv, kFloats, StatusCode::kMalformed,
                "an object key that is no string, at byte 2");
}

TEST(wrong_values_are_named_by_place) {
  const auto invalid = [](std::string_view bytes, std::string_view words) {
    check_refused(bytes, kFloats, StatusCode::kInvalidArgument, words);
  };
  invalid("\x91\x92\x01\xA1x"sv, "row 0, column 'fare': expected a number, got a string");
  invalid("\x91\x92\x01\xC3"sv, "row 0, column 'fare': expected a number, got true");
  invalid("\x91\x92\x01\xC4\x01x"sv, "row 0, column 'fare': expected a number, got binary data");
  invalid("\x91\x92\x01\xD4\x01x"sv, "row 0, column 'fare': expected a number, got an extension");
  invalid("\x91\x92\xC7\x00\x01\x01"sv, "row 0, column 'age': expected a number, got an extension");
  invalid("\x91\x92\x01\xCB\x7E\x37\xE4\x3C\x88\x00\x75\x9C"sv, "1e+300 is beyond float32");
  invalid("\x91\x91\x01"sv, "row 0: expected 2 columns, got 1");
  invalid("\x92\x92\x01\x02\x93\x01\x02\x03"sv, "row 1 has 3 values, expected 2");
  invalid("\x90"sv, "data has no rows");
  invalid("\xC0"sv, "data must be a list of rows, got null");
  check_refused("\x91\x91\xCA\x3F\x00\x00\x00"sv, matrix(DType::kInt32, {-1, 1}),
                StatusCode::kInvalidArgument, "row 0, column 0: expected an integer, got 0.5");
  check_refused("\x91\x91\xCA\x7F\xC0\x00\x00"sv, matrix(DType::kInt32, {-1, 1}),
                StatusCode::kInvalidArgument, "expected an integer, got NaN");
  check_refused("\x91\x91\xCC\xC8"sv, matrix(DType::kInt8, {-1, 1}), StatusCode::kInvalidArgument,
                "200 is beyond int8");
}

TEST(what_is_not_finite_needs_a_model_that_accepts_missing) {
  const auto nan_and_infinity = "\x92\xCA\x7F\xC0\x00\x00\xCA\xFF\x80\x00\x00"sv;
  const auto got = values<double>(good_pack(nan_and_infinity, tensor(DType::kFloat64, {-1}))[0]);
  CHECK(std::isnan(got[0]) && got[1] == -std::numeric_limits<double>::infinity());
  InputSchema strict = tensor(DType::kFloat64, {-1});
  strict.accepts_missing = false;
  check_refused(nan_and_infinity, strict, StatusCode::kInvalidArgument,
                "input 'x' at [0]: NaN, which this model does not accept");
  check_refused("\x91\xC0"sv, strict, StatusCode::kInvalidArgument,
                "null (a missing value), which this model does not accept");
}

TEST(claims_are_not_believed) {
  for (const std::string_view bytes :
       {"\xDD\xFF\xFF\xFF\xFF\x01"sv, "\xDF\x7F\xFF\xFF\xFF\xA1x"sv, "\xDB\xFF\xFF\xFF\xFFx"sv,
        "\xC6\xFF\xFF\xFF\xFFx"sv, "\xC9\xFF\xFF\xFF\xFF\x01x"sv, "\x92\x01"sv, "\xCB\x01"sv,
        "\xD9"sv, "\xDC\x00"sv}) {
    check_refused(bytes, kFloats, StatusCode::kMalformed, "the end of the data");
    check_refused(bytes, tensor(DType::kString, {-1}), StatusCode::kMalformed, "the end of the");
  }
  check_refused(""sv, kFloats, StatusCode::kMalformed, "the end of the data where more");
  check_refused("\xC1"sv, kFloats, StatusCode::kMalformed, "0xC1, which begins nothing, at byte 0");
  check_refused("\x91\x92\x01\x02\x00"sv, kFloats, StatusCode::kMalformed,
                "something behind the end of the value, at byte 4");
  check_refused("\x91\x92\x01\xA2\xC3("sv, kFloats, StatusCode::kMalformed, "invalid UTF-8");
  check_refused(std::string(100'000, '\x91') + "\x01", kFloats, StatusCode::kMalformed,
                "nested too deep (at most 64 are allowed)");
}

TEST(strings_and_named_inputs) {
  const InputSchema two{
      Layout::kTensors, {{"ids", DType::kInt64, {-1}}, {"text", DType::kString, {}}}, {}, true};
  const Tensors tensors = good_pack(
      "\x82\xA4"
      "text\xA3\xE2\x82\xAC\xA3"
      "ids\x92\x01\xE0"sv,
      two);
  CHECK(values<std::int64_t>(tensors[0]) == (std::vector<std::int64_t>{1, -32}));
  CHECK_EQ(tensors[1].strings()[0], "€");
  CHECK_EQ(good_pack("\x82\xA3"
                     "ids\x91\x01\xA4"
                     "text\xC0"sv,
                     two)[1]
               .strings()[0],
           slipstream::kMissingString);
  check_refused(
      "\x81\xA4"
      "text\xA0"sv,
      two, StatusCode::kInvalidArgument, "input 'ids' is missing");
  check_refused("\x81\xA1y\xA0"sv, two, StatusCode::kInvalidArgument, "unknown input 'y'");
}

TEST(ignored_columns_hold_anything) {
  InputSchema schema = kFloats;
  schema.ignored = {1};
  const Tensors tensors =
      good_pack("\x92\x92\x07\x82\xA0\xC0\xA1x\xC4\x02\xFF\xFF\x92\x08\xC0"sv, schema);
  CHECK(values<float>(tensors[0]) == (std::vector<float>{7, 0, 8, 0}));
  check_refused("\x91\x92\x07\xA1\xFF"sv, schema, StatusCode::kMalformed, "invalid UTF-8");
}

TEST(encoded_numbers) {
  CHECK_EQ(
      packed(make<std::int64_t>(DType::kInt64, {11},
                                {0, 127, 128, 256, 65536, std::int64_t{1} << 32, -1, -32, -33, -129,
                                 std::numeric_limits<std::int64_t>::min()})),
      "\x9B\x00\x7F\xCC\x80\xCD\x01\x00\xCE\x00\x01\x00\x00\xCF\x00\x00\x00\x01\x00\x00\x00\x00"
      "\xFF\xE0\xD0\xDF\xD1\xFF\x7F\xD3\x80\x00\x00\x00\x00\x00\x00\x00"sv);
  CHECK_EQ(packed(make<double>(DType::kFloat64, {3}, {0.5, std::nan(""), -HUGE_VAL})),
           "\x93\xCB\x3F\xE0\x00\x00\x00\x00\x00\x00\xC0\xC0"sv);
  CHECK_EQ(packed(make<float>(DType::kFloat32, {}, {0.5F})), "\xCA\x3F\x00\x00\x00"sv);
  using slipstream::wire::Float16;
  CHECK_EQ(packed(make<Float16>(DType::kFloat16, {2}, {{0x3800}, {0x7C00}})),
           "\x92\xCA\x3F\x00\x00\x00\xC0"sv);
  CHECK_EQ(packed(make<bool>(DType::kBool, {2, 1}, {true, false})), "\x92\x91\xC3\x91\xC2"sv);
  CHECK_EQ(packed(make<std::uint8_t>(DType::kUint8, {0, 2}, {})), "\x90"sv);
}

TEST(encoded_sizes) {
  const auto head = [](std::int64_t rows) {
    return packed(Tensor::allocate(DType::kInt8, Shape{rows, 0})).substr(0, 5);
  };
  CHECK_EQ(head(15).substr(0, 2), "\x9F\x90"sv);
  CHECK_EQ(head(16).substr(0, 4), "\xDC\x00\x10\x90"sv);
  CHECK_EQ(head(65536), "\xDD\x00\x01\x00\x00"sv);
}

TEST(encoded_strings_and_labels) {
  const std::string longest(40, 'a');
  CHECK_EQ(
      packed(make<std::string>(DType::kString, {4},
                               {"é", longest, std::string(slipstream::kMissingString), "\xFF|"})),
      "\x94\xA2\xC3\xA9\xD9\x28" + longest + "\xC0\xA4\xEF\xBF\xBD|");
  std::string out;
  slipstream::encode_labels_msgpack(make<std::int64_t>(DType::kInt64, {4}, {1, 0, -1, 2}),
                                    std::vector<std::string>{"\xA2no", "\xC3"}, out);
  CHECK_EQ(out, "\x94\xC3\xA2no\xC0\xC0"sv);
}

// {"data": "" (binary), "dtype": "int8", "shape": 255}: no list in it, so it lies less deep than a
// tensor, and nothing but its shape is wrong.
TEST(a_raw_tensor_whose_shape_is_no_list_is_told_so_at_any_depth) {
  DecodeLimits limits;
  limits.max_depth = 1;
  const auto result = unpack(
      "\x83\xA4"
      "data"
      "\xC4\0"
      "\xA5"
      "dtype"
      "\xA4"
      "int8"
      "\xA5"
      "shape"
      "\xCC\xFF"sv,
      tensor(DType::kFloat32, {}), limits);
  CHECK(result.status().code() == StatusCode::kInvalidArgument);
  CHECK(result.status().message().find("a tensor is an object of") != std::string::npos);
}
