// Tensors and strings to JSON.
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <random>

#include "wire/half.h"
#include "wire_fixtures.h"

using namespace wire_fixtures;

namespace {

template <class T>
Tensor make(DType dtype, Shape shape, const std::vector<T>& elements) {
  Tensor result = Tensor::allocate(dtype, std::move(shape));
  REQUIRE(result.elements() == static_cast<std::int64_t>(elements.size()));
  std::copy(elements.begin(), elements.end(), result.as<T>().begin());
  return result;
}

template <class T>
std::string labels(DType dtype, const std::vector<T>& positions) {
  static const std::vector<std::string> kLabels{
      "\"no\"", "1.5", "\"a label longer than the block's spare room ............\""};
  std::string out;
  slipstream::encode_labels(
      make<T>(dtype, Shape{static_cast<std::int64_t>(positions.size())}, positions), kLabels, out);
  return out;
}

std::string string(std::string_view text) {
  std::string out;
  slipstream::encode_string(text, out);
  return out;
}

}  // namespace

TEST(doubles) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  CHECK_EQ(encoded(make<double>(DType::kFloat64, {9},
                                {0.1, 1, -0.0, 1e300, 5e-324, std::nan(""), kInf, -kInf, 123456})),
           "[0.1,1.0,-0.0,1e+300,5e-324,null,null,null,123456.0]");
}

TEST(floats_are_shortest_as_floats) {
  CHECK_EQ(encoded(make<float>(DType::kFloat32, {4}, {0.1F, 16777216.0F, 3.4028235e38F, 1.0F})),
           "[0.1,16777216.0,3.4028235e+38,1.0]");
  using slipstream::wire::Bfloat16;
  using slipstream::wire::Float16;
  CHECK_EQ(encoded(make<Float16>(DType::kFloat16, {4}, {{0x3C00}, {0xFC00}, {0x0001}, {0x7BFF}})),
           "[1.0,null,5.9604645e-08,65504.0]");
  CHECK_EQ(encoded(make<Bfloat16>(DType::kBfloat16, {3}, {{0x3F80}, {0x7FC0}, {0xC040}})),
           "[1.0,null,-3.0]");
}

TEST(integers_and_bools) {
  CHECK_EQ(encoded(make<std::int64_t>(DType::kInt64, {2},
                                      {std::numeric_limits<std::int64_t>::min(), 7})),
           "[-9223372036854775808,7]");
  CHECK_EQ(encoded(make<std::uint64_t>(DType::kUint64, {1},
                                       {std::numeric_limits<std::uint64_t>::max()})),
           "[18446744073709551615]");
  CHECK_EQ(encoded(make<std::int8_t>(DType::kInt8, {3}, {-128, 65, 127})), "[-128,65,127]");
  CHECK_EQ(encoded(make<std::uint8_t>(DType::kUint8, {1}, {255})), "[255]");
  CHECK_EQ(encoded(make<bool>(DType::kBool, {2}, {true, false})), "[true,false]");
}

TEST(shapes) {
  const std::vector<std::int32_t> six{1, 2, 3, 4, 5, 6};
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {}, {9})), "9");
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {2, 3}, six)), "[[1,2,3],[4,5,6]]");
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {3, 1, 2}, six)), "[[[1,2]],[[3,4]],[[5,6]]]");
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {0}, {})), "[]");
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {2, 0}, {})), "[[],[]]");
  CHECK_EQ(encoded(make<std::int32_t>(DType::kInt32, {0, 2}, {})), "[]");
}

TEST(appends) {
  std::string out = "{\"predictions\":";
  slipstream::encode_tensor(make<std::int32_t>(DType::kInt32, {1}, {1}), out);
  CHECK_EQ(out, "{\"predictions\":[1]");
}

TEST(long_output_crosses_blocks) {
  std::vector<std::int64_t> elements;
  std::string expected = "[";
  for (std::int64_t i = 0; i < 20'000; ++i) {
    elements.push_back(i * 1'234'567);
    expected += (i > 0 ? "," : "") + std::to_string(i * 1'234'567);
  }
  CHECK_EQ(encoded(make<std::int64_t>(DType::kInt64, {20'000}, elements)), expected + "]");
}

TEST(strings_as_json) {
  CHECK_EQ(string(""), "\"\"");
  CHECK_EQ(string("plain text, longer than a word"), "\"plain text, longer than a word\"");
  CHECK_EQ(string("\"\\/\b\f\n\r\t\x01\x1f\x7f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
  CHECK_EQ(string("é€😀"), "\"é€😀\"");
  CHECK_EQ(string(std::string_view("\0", 1)), "\"\\u0000\"");
  CHECK_EQ(string(slipstream::kMissingString), "null");
}

// As Python's bytes.decode(errors="replace") does: one U+FFFD per maximal broken sequence.
TEST(broken_utf8_is_replaced) {
  CHECK_EQ(string("\xff\xfe"), "\"\uFFFD\uFFFD\"");
  CHECK_EQ(string("a\xff"), "\"a\uFFFD\"");
  CHECK_EQ(string("\xE2\x82|"), "\"\uFFFD|\"");
  CHECK_EQ(string("\xF0\x9F\x98"), "\"\uFFFD\"");
  CHECK_EQ(string("\xC0\x80"), "\"\uFFFD\uFFFD\"");
  CHECK_EQ(string("\xED\xA0\x80"), "\"\uFFFD\uFFFD\uFFFD\"");
  CHECK_EQ(string("\xF4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");
  CHECK_EQ(string("\xE2\xC3\xA9"), "\"\uFFFDé\"");
}

TEST(string_tensor) {
  CHECK_EQ(encoded(make<std::string>(DType::kString, {2, 2},
                                     {"a", "\"", std::string(slipstream::kMissingString), "é"})),
           "[[\"a\",\"\\\"\"],[null,\"é\"]]");
}

TEST(class_labels) {
  const std::string expected =
      "[1.5,\"no\",null,\"a label longer than the block's spare room ............\"]";
  CHECK_EQ(labels<std::int64_t>(DType::kInt64, {1, 0, 3, 2}), expected);
  CHECK_EQ(labels<std::int32_t>(DType::kInt32, {1, 0, -1, 2}), expected);
  CHECK_EQ(labels<std::uint8_t>(DType::kUint8, {1, 0, 255, 2}), expected);
  CHECK_EQ(labels<std::uint64_t>(DType::kUint64, {1, 0, std::uint64_t{1} << 63, 2}), expected);
  CHECK_EQ(labels<bool>(DType::kBool, {true, false}), "[1.5,\"no\"]");
  CHECK_EQ(labels<float>(DType::kFloat32, {1.0F, 0.0F}), "[null,null]");
  CHECK_EQ(labels<std::int64_t>(DType::kInt64, {}), "[]");
  std::string nested;
  slipstream::encode_labels(make<std::int64_t>(DType::kInt64, {2, 1}, {0, 1}),
                            std::vector<std::string>{"true", "false"}, nested);
  CHECK_EQ(nested, "[[true],[false]]");
}

TEST(random_tensors_round_trip) {
  std::mt19937_64 random(7);
  std::vector<double> doubles;
  std::vector<float> floats;
  while (doubles.size() < 30'000) {
    const auto word = random();
    const double wide = std::bit_cast<double>(word);
    const float narrow = std::bit_cast<float>(static_cast<std::uint32_t>(word));
    if (std::isfinite(wide) && std::isfinite(narrow)) {
      doubles.push_back(wide);
      floats.push_back(narrow);
    }
  }
  const Tensor wide = make<double>(DType::kFloat64, {10'000, 3}, doubles);
  const Tensor narrow = make<float>(DType::kFloat32, {10'000, 3}, floats);
  const Tensors wide_again = good(encoded(wide), matrix(DType::kFloat64, {-1, 3}));
  const Tensors narrow_again = good(encoded(narrow), matrix(DType::kFloat32, {-1, 3}));
  CHECK(std::memcmp(wide.data(), wide_again[0].data(), wide.bytes()) == 0);
  CHECK(std::memcmp(narrow.data(), narrow_again[0].data(), narrow.bytes()) == 0);
}

TEST(lists_that_no_memory_holds) {
  // One whose number of lists no integer holds, and one whose bytes none does.
  for (const std::int64_t lists : {std::int64_t{1} << 62, std::int64_t{6148914691236517203}}) {
    const Tensor none = Tensor::wrap(DType::kInt8, Shape{4, lists, 0}, nullptr, nullptr);
    bool is_refused = false;
    try {
      (void)slipstream::numbers_bound(none);
    } catch (const std::bad_alloc&) {
      is_refused = true;
    }
    CHECK(is_refused);
  }
}
