// What decode_inputs refuses: which code, and words that name the place and the cause.
#include "wire_fixtures.h"

using namespace wire_fixtures;

namespace {

const InputSchema kFloats = matrix(DType::kFloat32, {-1, 3});
const InputSchema kAnyWidth = matrix(DType::kFloat32, {-1, -1});
const InputSchema kNamed = matrix(DType::kFloat32, {-1, 2}, {"age", "fare"});
const InputSchema kMixed{Layout::kColumns,
                         {{"age", DType::kFloat32, {-1, 1}},
                          {"sex", DType::kString, {-1, 1}},
                          {"class", DType::kInt8, {-1, 1}}},
                         {},
                         false};
const InputSchema kTwo{Layout::kTensors,
                       {{"ids", DType::kInt64, {-1, -1}}, {"mask", DType::kBool, {-1, 2}}},
                       {},
                       true};

}  // namespace

TEST(not_json) {
  const char* const documents[] = {"",
                                   " ",
                                   "[",
                                   "[[",
                                   "[[1",
                                   "[[1,",
                                   "[[1,2,3]",
                                   "[[1,2,3],",
                                   "[[1,2,3],]",
                                   "[[1,2,3,]]",
                                   "[,]",
                                   "[[,1]]",
                                   "[[1 2 3]]",
                                   "[[1,2,3]]]",
                                   "[[1,2,3]] 1",
                                   "[[01,2,3]]",
                                   "[[1.,2,3]]",
                                   "[[.5,2,3]]",
                                   "[[+1,2,3]]",
                                   "[[-,2,3]]",
                                   "[[1e,2,3]]",
                                   "[[0x1,2,3]]",
                                   "[[NaN,2,3]]",
                                   "[[Infinity,2,3]]",
                                   "[[nul,2,3]]",
                                   "[[nulll,2,3]]",
                                   "[[1,2,3}]",
                                   "[[1,2,\"a]]",
                                   "{\"a\"}",
                                   "{\"a\":}",
                                   "{a:1}",
                                   "{\"a\":1,}",
                                   "[[1,2,3]]\x01",
                                   "[[1,2,-Infinity]]",
                                   "\xEF\xBB\xBF[[1,2,3]]",
                                   "[[1,2,3]]\0x",
                                   "'a'",
                                   "tru",
                                   "[[truefalse,1,1]]",
                                   "[\"\\x\"]",
                                   "[\"\\ud800\"]",
                                   "[\"\\udc00\"]",
                                   "[\"\\ud800\\u0041\"]",
                                   "[\"\\ud800x\"]",
                                   "[\"\\u12g4\"]",
                                   "[\"\\u12",
                                   "[\"a\nb\"]",
                                   "[\"\x7F\xFF\"]",
                                   "[\"\xC0\x80\"]",
                                   "[\"\xED\xA0\x80\"]",
                                   "[\"\xF4\x90\x80\x80\"]",
                                   "[\"\xE2\x82\"]",
                                   "[\"\\\"]"};
  for (const auto& schema : {kFloats, kNamed, kMixed, kTwo, tensor(DType::kString, {-1}),
                             tensor(DType::kInt32, {}), tensor(DType::kBool, {-1, -1})}) {
    for (const char* json : documents) {
      const auto result = decode(json, schema);
      // "[[1,2,3]]\0x" ends at its NUL as a C string: the only good one in the list.
      if (std::string_view(json) == "[[1,2,3]]") continue;
      CHECK(!result.is_ok());
      if (!result.is_ok() && result.status().code() != StatusCode::kMalformed) {
        CHECK_EQ(json, "malformed");
      }
    }
  }
  CHECK_MALFORMED(std::string_view("[[1,2,3]]\0", 10), kFloats,
                  "behind the end of the value, at byte 9");
}

TEST(flaws_are_named) {
  CHECK_MALFORMED("", kFloats, "the end of the data where more was expected, at byte 0");
  CHECK_MALFORMED("[[1,2,NaN]]", kFloats, "NaN or Infinity");
  CHECK_MALFORMED("[[1,2,03]]", kFloats, "a number with a leading zero, at byte 6");
  CHECK_MALFORMED("[[1,2,3]] x", kFloats, "behind the end of the value, at byte 10");
  CHECK_MALFORMED("[\"\\q\"]", kFloats, "an invalid escape");
  CHECK_MALFORMED("[\"\\ud800\"]", kFloats, "a lone surrogate");
  CHECK_MALFORMED("[\"\x01\"]", kFloats, "an unescaped control character");
  CHECK_MALFORMED("[\"\xFF\"]", kFloats, "invalid UTF-8");
  CHECK_MALFORMED("[[1,2 3]]", kFloats, "neither ',' nor ']'");
  CHECK_MALFORMED("{\"a\" 1}", kFloats, "no ':'");
}

TEST(numbers_beyond_a_double_are_malformed) {
  for (const char* number : {"1e999", "-1e999", "1e309", "17976931348623159e292"}) {
    const std::string json = "[[1,2," + std::string(number) + "]]";
    CHECK_MALFORMED(json, kFloats, "beyond the range of a double");
    CHECK_MALFORMED(json, matrix(DType::kInt32, {-1, 3}), "beyond the range of a double");
    CHECK_MALFORMED(json, matrix(DType::kBool, {-1, 3}), "beyond the range of a double");
    CHECK_MALFORMED(json, matrix(DType::kString, {-1, 3}), "beyond the range of a double");
  }
}

TEST(malformed_wins_over_wrong) {
  CHECK_MALFORMED("[[1,\"a\",3],[1,2", kFloats, "the end of the data");
  CHECK_MALFORMED("[[1],[1,2,3,1e999]]", kFloats, "beyond the range of a double");
  CHECK_MALFORMED(R"([{"age":1,"nobody":tru}])", kNamed, "an unknown word");
}

TEST(no_rows) {
  CHECK_INVALID("[]", kFloats, "data has no rows");
  CHECK_INVALID(" [ ] ", kNamed, "data has no rows");
  CHECK_INVALID("[]", kMixed, "data has no rows");
  CHECK_INVALID("[]", matrix(DType::kFloat32, {-1}), "data has no rows");
  CHECK_INVALID("[[]]", kAnyWidth, "row 0 is empty");
  CHECK_INVALID("[[]]", kFloats, "row 0: expected 3 columns, got 0");
  CHECK_INVALID("[{}]", kNamed, "row 0: column 'age' is missing");
  CHECK_INVALID("[]", tensor(DType::kFloat32, {-1, 2}), "input 'x' has no rows");
}

TEST(no_list_of_rows) {
  CHECK_INVALID("[1,2,3]", kFloats, "data must be a list of rows; wrap it: [[...]]");
  CHECK_INVALID("[1,2]", kNamed, "wrap it: [[...]]");
  CHECK_INVALID("[1,\"a\",2]", kMixed, "wrap it: [[...]]");
  CHECK_INVALID("5", kFloats, "data must be a list of rows, got a number");
  CHECK_INVALID("null", kMixed, "data must be a list of rows, got null");
  CHECK_INVALID("\"abc\"", kNamed, "data must be a list of rows, got a string");
  CHECK_INVALID(R"({"age":1,"fare":2})", kNamed, "wrap it: [{...}]");
  CHECK_INVALID(R"({"age":1})", kMixed, "wrap it: [{...}]");
  CHECK_INVALID(R"({"a":1})", kFloats, "data must be a list of rows, got an object");
  CHECK_INVALID(R"([{"a":1}])", kFloats,
                "row 0 is an object, but this model's columns have no names");
  CHECK_INVALID("[[1,2,3],4]", kFloats, "row 1: expected a list, got a number");
  CHECK_INVALID("[[1,\"a\",3],4]", kMixed, "row 1: expected a list or an object, got a number");
  CHECK_INVALID(R"([[1,2],{"age":1,"fare":2}])", kNamed, "row 1 is an object, but row 0 is a list");
  CHECK_INVALID(R"([{"age":1,"fare":2},[1,2]])", kNamed, "row 1 is a list, but row 0 is an object");
  CHECK_INVALID("[[[1,2],3]]", matrix(DType::kFloat32, {-1, 2, 2}),
                "row 0 at [1]: expected a list");
}

TEST(width) {
  CHECK_INVALID("[[1,2,3,4,5]]", kFloats, "row 0: expected 3 columns, got 5");
  CHECK_INVALID("[[1]]", kFloats, "row 0: expected 3 columns, got 1");
  CHECK_INVALID("[[1,2,3],[1,2]]", kFloats, "row 1 has 2 values, expected 3");
  CHECK_INVALID("[[1,2,3],[1,2,3],[1,2,3,4]]", kFloats, "row 2 has 4 values, expected 3");
  CHECK_INVALID("[[1,2],[1,2],[1]]", kAnyWidth, "row 2 has 1 value, expected 2");
  CHECK_INVALID("[[1,2],[1,2,3]]", kAnyWidth, "row 1 has 3 values, expected 2");
  CHECK_INVALID("[[1,2],[]]", kAnyWidth, "row 1 has 0 values, expected 2");
  CHECK_INVALID("[[1,\"m\"]]", kMixed, "row 0: expected 3 columns, got 2");
  CHECK_INVALID("[[1,\"m\",1],[1,\"m\",1,1,[{}]]]", kMixed, "row 1 has 5 values, expected 3");
  CHECK_INVALID("[[1,\"m\",1],[]]", kMixed, "row 1 has 0 values, expected 3");
  CHECK_INVALID("[[[1],[2]],[[3],[4,5]]]", matrix(DType::kFloat32, {-1, 2, -1}),
                "row 1 at [1] has 2 values, expected 1");
  CHECK_INVALID("[[1,2,3]]", matrix(DType::kFloat32, {2, 3}), "data has 1 row, expected 2");
  CHECK_INVALID(R"([{"age":1,"fare":2}])", matrix(DType::kFloat32, {4, 2}, {"age", "fare"}),
                "data has 1 row, expected 4");
}

TEST(kinds) {
  CHECK_INVALID("[[1,\"2\",3]]", kFloats, "row 0, column 1: expected a number, got a string");
  CHECK_INVALID("[[1,2],[3,\"a\"]]", kNamed,
                "row 1, column 'fare': expected a number, got a string");
  CHECK_INVALID("[[1,true,3]]", kFloats, "row 0, column 1: expected a number, got true");
  CHECK_INVALID("[[1,[2],3]]", kFloats, "row 0, column 1: expected a number, got a list");
  CHECK_INVALID("[[1,{},3]]", kFloats, "row 0, column 1: expected a number, got an object");
  CHECK_INVALID(R"([{"fare":1,"age":"x"}])", kNamed,
                "row 0, column 'age': expected a number, got a string");
  CHECK_INVALID("[[1,2,3]]", kMixed, "row 0, column 'sex': expected a string, got a number");
  CHECK_INVALID("[[1,\"m\",2.5]]", kMixed, "row 0, column 'class': expected an integer, got 2.5");
  CHECK_INVALID("[[1,\"m\",128]]", kMixed, "row 0, column 'class': 128 is beyond int8");
  CHECK_INVALID("[[1,\"m\",\"3\"]]", kMixed, "expected an integer, got a string");
  CHECK_INVALID("[[1,\"m\",true]]", kMixed, "expected an integer, got true");
  CHECK_INVALID("[\"a\"]", matrix(DType::kFloat32, {-1}), "row 0: expected a number, got a string");
  CHECK_INVALID("[2]", tensor(DType::kBool, {-1}),
                "input 'x' at [0]: expected true or false, got 2");
  CHECK_INVALID("0.5", tensor(DType::kBool, {}), "input 'x': expected true or false, got 0.5");
  CHECK_INVALID("\"yes\"", tensor(DType::kBool, {}), "expected true or false, got a string");
  CHECK_INVALID("[[1,2],[3,[4]]]", tensor(DType::kInt8, {-1, 2}),
                "input 'x' at [1][1]: expected an integer, got a list");
  CHECK_INVALID("[1,2]", tensor(DType::kInt8, {-1, 2}),
                "input 'x' at [0]: expected a list, got a number");
}

TEST(missing_values) {
  CHECK_INVALID("[[null,\"m\",1]]", kMixed,
                "row 0, column 'age': null (a missing value), which this model does not accept");
  CHECK_INVALID("[[1,null,1]]", kMixed, "which this model does not accept");
  CHECK_INVALID("[null]", tensor(DType::kInt64, {-1}), "expected an integer, got null");
  CHECK_INVALID("[null]", tensor(DType::kBool, {-1}), "expected true or false, got null");
}

TEST(ranges) {
  CHECK_INVALID("[[1,2,1e39]]", kFloats, "row 0, column 2: 1e39 is beyond float32");
  CHECK_INVALID("[[1,2,-3.4028235677973366e38]]", kFloats, "is beyond float32");
  CHECK_INVALID("70000", tensor(DType::kFloat16, {}), "70000 is beyond float16");
  CHECK_INVALID("1e308", tensor(DType::kBfloat16, {}), "1e308 is beyond bfloat16");
  CHECK_INVALID("-1", tensor(DType::kUint64, {}), "-1 is beyond uint64");
  CHECK_INVALID("-129", tensor(DType::kInt8, {}), "-129 is beyond int8");
  CHECK_INVALID("9223372036854775808", tensor(DType::kInt64, {}), "is beyond int64");
  CHECK_INVALID("-9223372036854775809", tensor(DType::kInt64, {}), "is beyond int64");
  CHECK_INVALID("18446744073709551616", tensor(DType::kUint64, {}), "is beyond uint64");
}

TEST(keys) {
  CHECK_INVALID(R"([{"age":1,"fare":2,"sex":3}])", kNamed, "row 0: unknown column 'sex'");
  CHECK_INVALID(R"([{"age":1,"age":2}])", kNamed, "row 0: column 'age' appears twice");
  CHECK_INVALID(R"([{"age":1,"fare":2},{"fare":2}])", kNamed, "row 1: column 'age' is missing");
  CHECK_INVALID(R"([{"age":1,"sex":"m","class":2,"class":3}])", kMixed,
                "column 'class' appears twice");
  CHECK_INVALID(R"({"ids":[[1]]})", kTwo, "input 'mask' is missing");
  CHECK_INVALID(R"({"ids":[[1]],"mask":[[0,1]],"x":1})", kTwo, "data has an unknown input 'x'");
  CHECK_INVALID(R"({"ids":[[1]],"ids":[[1]]})", kTwo, "input 'ids' appears twice");
  CHECK_INVALID("{}", kTwo, "input 'ids' is missing");
  CHECK_INVALID("[[1]]", kTwo,
                "data must be an object with the model's 2 inputs by name, got a list");
  CHECK_INVALID(R"({"ids":[[1]],"mask":[[0,1,1]]})", kTwo,
                "input 'mask' at [0] has 3 values, expected 2");
  CHECK_INVALID(R"({"ids":[[1]],"mask":1})", kTwo,
                "input 'mask': expected a list, got a number (the input has 2 dimensions)");
}

TEST(contradicting_schemas) {
  const auto code = [](const InputSchema& schema) {
    const auto result = decode("[[1]]", schema);
    return result.is_ok() ? StatusCode::kOk : result.status().code();
  };
  CHECK(code({Layout::kMatrix, {}, {}, true}) == StatusCode::kInternal);
  CHECK(code(matrix(DType::kInt8, {})) == StatusCode::kInternal);
  CHECK(code(matrix(DType::kInt8, {-1, 3}, {"a"})) == StatusCode::kInternal);
  CHECK(code({Layout::kColumns, {{"a", DType::kInt8, {-1, 2}}}, {}, true}) ==
        StatusCode::kInternal);
  CHECK(code({Layout::kColumns, {{"a", DType::kInt8, {-1}}}, {"a", "b"}, true}) ==
        StatusCode::kInternal);
}
