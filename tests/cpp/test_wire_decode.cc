// What decode_inputs accepts: the three layouts, every dtype, every way to write a value.
#include <cmath>
#include <cstddef>
#include <limits>

#include "wire/half.h"
#include "wire_fixtures.h"

using namespace wire_fixtures;
using slipstream::kMissingString;
using slipstream::TensorSpec;

namespace {

InputSchema penguins() {
  return {Layout::kColumns,
          {{"island", DType::kString, {-1, 1}},
           {"mass", DType::kFloat32, {-1, 1}},
           {"year", DType::kInt64, {-1}},
           {"tagged", DType::kBool, {-1, -1}}},
          {"island", "mass", "year", "tagged"},
          true};
}

InputSchema two_tensors() {
  return {Layout::kTensors,
          {{"ids", DType::kInt64, {-1, -1}}, {"scale", DType::kFloat32, {}}},
          {},
          true};
}

}  // namespace

TEST(matrix_of_floats) {
  const Tensors inputs = good(" [ [1, 2.5,-3e2] ,[4,5 ,\n6]\t] ", matrix(DType::kFloat32, {-1, 3}));
  CHECK_EQ(inputs.size(), 1U);
  CHECK_EQ(dims(inputs[0]), "[2, 3]");
  CHECK(inputs[0].dtype() == DType::kFloat32);
  CHECK(values<float>(inputs[0]) == (std::vector<float>{1, 2.5F, -300, 4, 5, 6}));
}

TEST(matrix_width_is_learned) {
  CHECK_EQ(dims(good("[[1,2],[3,4],[5,6]]", matrix(DType::kFloat64, {-1, -1}))[0]), "[3, 2]");
  CHECK_EQ(dims(good("[[1,2],[3,4],[5,6]]", matrix(DType::kFloat64, {3, 2}))[0]), "[3, 2]");
  CHECK_EQ(matrix(DType::kFloat32, {-1, 4, 5}).matrix_width(), 20);
  CHECK_EQ(matrix(DType::kFloat32, {-1}).matrix_width(), 1);
  CHECK_EQ(matrix(DType::kFloat32, {-1, -1}).matrix_width(), -1);
  CHECK_EQ(tensor(DType::kFloat32, {-1, 3}).matrix_width(), -1);
}

TEST(matrix_of_rank_one_and_three) {
  const Tensors flat = good("[1,2,3]", matrix(DType::kFloat32, {-1}));
  CHECK_EQ(dims(flat[0]), "[3]");
  const Tensors deep = good("[[[1,2],[3,4]],[[5,6],[7,8]]]", matrix(DType::kInt8, {-1, 2, -1}));
  CHECK_EQ(dims(deep[0]), "[2, 2, 2]");
  CHECK_EQ(encoded(deep[0]), "[[[1,2],[3,4]],[[5,6],[7,8]]]");
}

TEST(many_rows_survive_growth) {
  std::string json = "[[0,0.5]";
  for (int i = 1; i < 5000; ++i) json += ",[" + std::to_string(i) + "," + std::to_string(i) + ".5]";
  json += "]";
  for (const auto& schema : {matrix(DType::kFloat64, {-1, 2}), matrix(DType::kFloat64, {-1, -1}),
                             tensor(DType::kFloat64, {-1, 2})}) {
    const Tensors inputs = good(json, schema);
    CHECK_EQ(dims(inputs[0]), "[5000, 2]");
    const std::vector<double> all = values<double>(inputs[0]);
    for (std::size_t i = 0; i < 5000; ++i) {
      REQUIRE(all[2 * i] == static_cast<double>(i));
      REQUIRE(all[2 * i + 1] == static_cast<double>(i) + 0.5);
    }
  }
}

TEST(many_strings_survive_growth) {
  std::string json = "[";
  for (int i = 0; i < 3000; ++i) {
    json += (i > 0 ? ",[\"" : "[\"") + std::string(static_cast<std::size_t>(i % 50), 'a') + "\"]";
  }
  const Tensors inputs = good(json + "]", matrix(DType::kString, {-1, 1}));
  CHECK_EQ(dims(inputs[0]), "[3000, 1]");
  for (std::size_t i = 0; i < 3000; ++i) REQUIRE(inputs[0].strings()[i].size() == i % 50);
}

TEST(rows_as_objects) {
  const InputSchema schema = matrix(DType::kFloat32, {-1, 3}, {"a", "b\n", "ü"});
  const Tensors inputs =
      good(R"([{"a":1,"b\n":2,"ü":3},{"\u00fc":6,"a":4,"b\u000a":5},{"ü": 9 , "a" : 7,"b\n":8}])",
           schema);
  CHECK_EQ(dims(inputs[0]), "[3, 3]");
  CHECK(values<float>(inputs[0]) == (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  CHECK(values<float>(good("[[1,2,3]]", schema)[0]) == (std::vector<float>{1, 2, 3}));
}

TEST(rows_as_objects_learn_the_width_from_the_names) {
  const InputSchema schema = matrix(DType::kFloat32, {-1, -1}, {"a", "b"});
  CHECK_EQ(dims(good(R"([{"b":1,"a":2}])", schema)[0]), "[1, 2]");
  CHECK_INVALID("[[1,2,3]]", schema, "expected 2 columns, got 3");
}

TEST(wide_objects_in_any_order) {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("column " + std::to_string(i));
  std::string json = "[";
  for (int row = 0; row < 50; ++row) {
    json += row > 0 ? ",{" : "{";
    for (int i = 0; i < 100; ++i) {
      const int column = (i * 37 + row / 10) % 100;
      json += (i > 0 ? ",\"column " : "\"column ") + std::to_string(column) +
              "\":" + std::to_string(row * 100 + column);
    }
    json += "}";
  }
  const Tensors inputs = good(json + "]", matrix(DType::kInt32, {-1, 100}, names));
  CHECK_EQ(dims(inputs[0]), "[50, 100]");
  const auto all = inputs[0].as<std::int32_t>();
  for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == static_cast<std::int32_t>(i));
}

TEST(columns_of_mixed_kinds) {
  const Tensors inputs =
      good(R"([["Biscoe", 3750.5, 2007, true], [null, null, 2.008e3, 0]])", penguins());
  CHECK_EQ(inputs.size(), 4U);
  CHECK_EQ(dims(inputs[0]), "[2, 1]");
  CHECK_EQ(dims(inputs[2]), "[2]");
  CHECK_EQ(dims(inputs[3]), "[2, 1]");
  CHECK_EQ(inputs[0].strings()[0], "Biscoe");
  CHECK_EQ(inputs[0].strings()[1], kMissingString);
  CHECK_EQ(inputs[1].as<float>()[0], 3750.5F);
  CHECK(std::isnan(inputs[1].as<float>()[1]));
  CHECK(values<std::int64_t>(inputs[2]) == (std::vector<std::int64_t>{2007, 2008}));
  CHECK(inputs[3].as<bool>()[0] && !inputs[3].as<bool>()[1]);
}

TEST(columns_as_objects) {
  std::string json = "[";
  for (int i = 0; i < 1000; ++i) {
    json += std::string(i > 0 ? "," : "") + R"({"year":)" + std::to_string(i) +
            R"(,"island":"Dream","mass":)" + std::to_string(i) + R"(.25,"tagged":false})";
  }
  const Tensors inputs = good(json + "]", penguins());
  CHECK_EQ(dims(inputs[1]), "[1000, 1]");
  for (std::size_t i = 0; i < 1000; ++i) {
    REQUIRE(inputs[0].strings()[i] == "Dream");
    REQUIRE(inputs[1].as<float>()[i] == static_cast<float>(i) + 0.25F);
    REQUIRE(inputs[2].as<std::int64_t>()[i] == static_cast<std::int64_t>(i));
  }
  InputSchema unnamed = penguins();
  unnamed.column_names.clear();
  CHECK_EQ(good(json + "]", unnamed).size(), 4U);
}

TEST(ignored_columns_hold_anything) {
  InputSchema schema = matrix(DType::kFloat64, {-1, 3}, {"a", "b", "c"});
  schema.ignored = {1};
  schema.accepts_missing = false;
  const std::vector<double> expected{1, 0, 2, 3, 0, 4};
  CHECK(values<double>(good(R"([[1,"x",2],[3,null,4]])", schema)[0]) == expected);
  CHECK(values<double>(good(R"([[1,{"deep":[[1],"]"]},2],[3,-1e300,4]])", schema)[0]) == expected);
  CHECK(values<double>(good(R"([{"c":2,"a":1},{"a":3,"b":[true],"c":4}])", schema)[0]) == expected);
  CHECK(decode(R"([{"a":1,"b":2}])", schema).status().message().find("'c' is missing") !=
        std::string::npos);
  CHECK(decode(R"([{"a":1,"b":2,"b":3,"c":4}])", schema).status().message().find("twice") !=
        std::string::npos);
  CHECK(decode(R"([[1,2]])", schema).status().code() == StatusCode::kInvalidArgument);
  CHECK(decode(R"([[1,[2,3]])", schema).status().code() == StatusCode::kMalformed);
  CHECK(decode(R"([[1,tru,3]])", schema).status().code() == StatusCode::kMalformed);
  CHECK(decode(R"([[1,[[[]]],3]])", schema, {.max_depth = 4}).status().code() ==
        StatusCode::kMalformed);
  CHECK(decode(R"([[1,[[]],3]])", schema, {.max_depth = 4}).is_ok());
}

TEST(ignored_columns_may_be_all_there_is_left_out) {
  InputSchema schema = penguins();
  schema.inputs[1].dtype = DType::kFloat64;
  schema.ignored = {1};
  const Tensors inputs = good(R"([{"island":"Biscoe","year":2007,"tagged":true}])", schema);
  CHECK(values<double>(inputs[1]) == std::vector<double>{0});
  CHECK_EQ(inputs[0].strings()[0], "Biscoe");
  InputSchema nothing = matrix(DType::kFloat32, {-1, 1}, {"a"});
  nothing.ignored = {0};
  CHECK(values<float>(good("[{},{}]", nothing)[0]) == (std::vector<float>{0, 0}));
}

TEST(tensors_by_name) {
  const Tensors inputs = good(R"({"scale": 0.5, "ids": [[1,2,3],[4,5,6]]})", two_tensors());
  CHECK_EQ(dims(inputs[0]), "[2, 3]");
  CHECK_EQ(dims(inputs[1]), "[]");
  CHECK_EQ(inputs[1].as<float>()[0], 0.5F);
  CHECK_EQ(encoded(inputs[0]), "[[1,2,3],[4,5,6]]");
}

TEST(a_single_tensor_needs_no_name) {
  const InputSchema schema = tensor(DType::kInt32, {-1, 2});
  CHECK_EQ(encoded(good("[[1,2]]", schema)[0]), "[[1,2]]");
  CHECK_EQ(encoded(good(R"({"x":[[1,2]]})", schema)[0]), "[[1,2]]");
  CHECK_EQ(encoded(good(" 7 ", tensor(DType::kInt32, {}))[0]), "7");
  CHECK_EQ(encoded(good(R"({"x":7})", tensor(DType::kInt32, {}))[0]), "7");
}

TEST(inner_dimensions_may_be_empty) {
  const InputSchema cache = tensor(DType::kFloat32, {-1, 2, -1, 4});
  CHECK_EQ(dims(good("[[[],[]]]", cache)[0]), "[1, 2, 0, 4]");
  CHECK_EQ(dims(good("[[],[]]", tensor(DType::kFloat32, {-1, -1, -1}))[0]), "[2, 0, 0]");
  CHECK_EQ(dims(good("[]", tensor(DType::kFloat32, {0, 3}))[0]), "[0, 3]");
}

TEST(high_ranks) {
  const InputSchema schema = tensor(DType::kFloat32, {-1, 1, 1, 1, 1, 1, 1, 2});
  const std::string json = "[[[[[[[[1.5,2.5]]]]]]],[[[[[[[3.5,4.5]]]]]]]]";
  CHECK_EQ(encoded(good(json, schema)[0]), json);
}

TEST(every_float_type) {
  const std::string json = "[0,-0.0,1.5,null,65504]";
  CHECK_EQ(encoded(good(json, tensor(DType::kFloat64, {-1}))[0]), "[0.0,-0.0,1.5,null,65504.0]");
  CHECK_EQ(encoded(good(json, tensor(DType::kFloat32, {-1}))[0]), "[0.0,-0.0,1.5,null,65504.0]");
  CHECK_EQ(encoded(good(json, tensor(DType::kFloat16, {-1}))[0]), "[0.0,-0.0,1.5,null,65504.0]");
  CHECK_EQ(encoded(good(json, tensor(DType::kBfloat16, {-1}))[0]), "[0.0,-0.0,1.5,null,65536.0]");
  // Parsed to double first, then rounded.
  CHECK_EQ(good("[16777217.000000001]", tensor(DType::kFloat32, {-1}))[0].as<float>()[0],
           16777216.0F);
  CHECK_EQ(good("[0.1]", tensor(DType::kFloat64, {-1}))[0].as<double>()[0], 0.1);
  CHECK_EQ(good("3.4028235677973362e38", tensor(DType::kFloat32, {}))[0].as<float>()[0],
           std::numeric_limits<float>::max());
}

TEST(every_integer_type) {
  const auto all = [](DType dtype, const std::string& json) {
    return encoded(good(json, tensor(dtype, {-1}))[0]);
  };
  CHECK_EQ(all(DType::kInt8, "[-128,127,1.0,1e2,-0]"), "[-128,127,1,100,0]");
  CHECK_EQ(all(DType::kInt16, "[-32768,32767]"), "[-32768,32767]");
  CHECK_EQ(all(DType::kInt32, "[-2147483648,2147483647]"), "[-2147483648,2147483647]");
  CHECK_EQ(all(DType::kInt64, "[-9223372036854775808,9223372036854775807]"),
           "[-9223372036854775808,9223372036854775807]");
  CHECK_EQ(all(DType::kUint8, "[0,255]"), "[0,255]");
  CHECK_EQ(all(DType::kUint16, "[0,65535]"), "[0,65535]");
  CHECK_EQ(all(DType::kUint32, "[0,4294967295]"), "[0,4294967295]");
  CHECK_EQ(all(DType::kUint64, "[0,18446744073709551615,9007199254740993]"),
           "[0,18446744073709551615,9007199254740993]");
  CHECK_EQ(all(DType::kBool, "[true,false,1,0,1.0,-0]"), "[true,false,true,false,true,false]");
}

TEST(strings) {
  const Tensors inputs =
      good(R"(["", "plain", "\"\\\/\b\f\n\r\t", "\u0041\u00e9\u20AC\ud83d\ude00", "é€😀", null,)"
           R"( "a much longer text, so that it needs memory of its own \u2026"])",
           tensor(DType::kString, {-1}));
  const auto texts = inputs[0].strings();
  CHECK_EQ(texts[0], "");
  CHECK_EQ(texts[1], "plain");
  CHECK_EQ(texts[2], "\"\\/\b\f\n\r\t");
  CHECK_EQ(texts[3], "Aé€😀");
  CHECK_EQ(texts[4], "é€😀");
  CHECK_EQ(texts[5], kMissingString);
  CHECK_EQ(texts[6], "a much longer text, so that it needs memory of its own …");
  CHECK_EQ(good("\"a\\u0000b\"", tensor(DType::kString, {}))[0].strings()[0],
           std::string("a\0b", 3));
}

TEST(tensors_outlive_document_and_own_their_memory) {
  Tensors inputs;
  {
    std::string json = "[[1,2],[3,4]]";
    inputs = good(json, matrix(DType::kFloat32, {-1, 2}));
    json.assign(json.size(), 'x');
  }
  CHECK(values<float>(inputs[0]) == (std::vector<float>{1, 2, 3, 4}));
  CHECK_EQ(reinterpret_cast<std::uintptr_t>(inputs[0].data()) % Tensor::kAlignment, 0U);
}

TEST(memory_comes_from_the_resource) {
  std::byte storage[4096];
  std::pmr::monotonic_buffer_resource resource(storage, sizeof storage,
                                               std::pmr::null_memory_resource());
  const auto fits =
      slipstream::decode_inputs("[[1,2]]", matrix(DType::kFloat32, {-1, 2}), {}, &resource);
  REQUIRE(fits.is_ok());
  const auto* data = fits.value()[0].data();
  CHECK(data >= storage && data < storage + sizeof storage);
  std::string large = "[[1,2]";
  for (int i = 0; i < 2000; ++i) large += ",[1,2]";
  const auto refused =
      slipstream::decode_inputs(large + "]", matrix(DType::kFloat32, {-1, 2}), {}, &resource);
  REQUIRE(!refused.is_ok());
  CHECK(refused.status().code() == StatusCode::kResourceExhausted);
}

TEST(a_text_stands_for_a_row_of_its_bytes) {
  InputSchema schema = tensor(DType::kFloat32, {-1, -1});
  schema.takes_text = true;
  const Tensors inputs = good(R"([ "az" , [1, 2] , "\u00e9" ])", schema);
  CHECK_EQ(dims(inputs[0]), "[3, 2]");
  CHECK(values<float>(inputs[0]) == (std::vector<float>{'a', 'z', 1, 2, 0xC3, 0xA9}));
  CHECK_EQ(dims(good(R"([[["ab"]]])",
                     [] {
                       InputSchema deep = tensor(DType::kUint8, {-1, 1, 1, -1});
                       deep.takes_text = true;
                       return deep;
                     }())[0]),
           "[1, 1, 1, 2]");
  std::string large = "[\"";
  large.append(5000, 'x');
  large += "\"]";
  CHECK_EQ(dims(good(large, schema)[0]), "[1, 5000]");
  CHECK_REFUSED(R"(["ab", "abc"])", schema, StatusCode::kInvalidArgument, "has 3 values");
  CHECK_REFUSED(R"("ab")", schema, StatusCode::kInvalidArgument, "expected a list, got a string");
  CHECK_REFUSED(R"([["a"]])", schema, StatusCode::kInvalidArgument, "expected a number");
  CHECK_REFUSED("[\"\xff\"]", schema, StatusCode::kMalformed, "");
  CHECK_REFUSED(R"(["a)", schema, StatusCode::kMalformed, "");
  schema.inputs[0].dims = {-1, 3};
  CHECK_REFUSED(R"(["ab"])", schema, StatusCode::kInvalidArgument, "has 2 values, expected 3");
  schema.inputs[0].dtype = DType::kInt8;  // has no room for every byte
  CHECK_REFUSED(R"(["abc"])", schema, StatusCode::kInvalidArgument, "got a string");
}

TEST(texts_for_rows_are_bounded) {
  InputSchema schema = tensor(DType::kFloat64, {-1, -1});
  schema.takes_text = true;
  DecodeLimits limits;
  limits.max_elements = 8;
  CHECK(decode(R"(["abcd", "efgh"])", schema, limits).is_ok());
  const auto refused = decode(R"(["abcde", "fghij"])", schema, limits);
  CHECK(refused.status().code() == StatusCode::kInvalidArgument);
}
