// Everything is bounded: nesting, rows, elements, memory, the length of a message.
#include <cstddef>

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

std::string repeated(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

}  // namespace

TEST(nesting_is_bounded) {
  for (const auto& schema : {kFloats, kNamed, kMixed, kTwo, tensor(DType::kString, {})}) {
    CHECK_MALFORMED(std::string(100'000, '['), schema, "nested too deep (at most 64 are allowed)");
    CHECK_MALFORMED(repeated("{\"x\":", 100'000), schema, "nested too deep");
    CHECK_MALFORMED(repeated("[{\"x\":", 100'000), schema, "nested too deep");
    CHECK_MALFORMED(std::string(65, '[') + std::string(65, ']'), schema, "nested too deep");
    const auto allowed = decode(std::string(64, '[') + std::string(64, ']'), schema);
    CHECK(!allowed.is_ok() && allowed.status().code() == StatusCode::kInvalidArgument);
  }
  // A bound below the rank of the model makes every document too deep.
  for (std::size_t depth = 0; depth < 3; ++depth) {
    DecodeLimits limits;
    limits.max_depth = depth;
    const auto code = [&](std::string_view json, const InputSchema& schema) {
      const auto result = decode(json, schema, limits);
      return result.is_ok() ? StatusCode::kOk : result.status().code();
    };
    const auto expected = depth < 2 ? StatusCode::kMalformed : StatusCode::kOk;
    CHECK(code("[[1,2,3]]", kFloats) == expected);
    CHECK(code("[[1,\"a\",3]]", kMixed) == (depth < 2 ? expected : StatusCode::kOk));
    CHECK(code(R"([{"fare":1,"age":2}])", kNamed) == expected);
    CHECK(code(R"({"x":[1]})", tensor(DType::kInt8, {-1})) == expected);
    CHECK(code("[]", kMixed) ==
          (depth < 1 ? StatusCode::kMalformed : StatusCode::kInvalidArgument));
  }
}

TEST(limits) {
  DecodeLimits limits;
  limits.max_rows = 3;
  const auto message = [&](std::string_view json, const InputSchema& schema) {
    const auto result = decode(json, schema, limits);
    return result.is_ok() ? "ok" : result.status().message();
  };
  const auto has = [](const std::string& text, std::string_view words) {
    return text.find(words) != std::string::npos;
  };
  CHECK_EQ(message("[[1],[1],[1]]", kAnyWidth), "ok");
  CHECK(has(message("[[1],[1],[1],[1]]", kAnyWidth), "more than 3 rows"));
  CHECK(has(message("[1,1,1,1]", matrix(DType::kInt8, {-1})), "more than 3 rows"));
  CHECK(has(
      message(R"([{"age":1,"fare":2},{"age":1,"fare":2},{"age":1,"fare":2},{"age":1,"fare":2}])",
              kNamed),
      "more than 3 rows"));
  limits.max_elements = 5;
  CHECK_EQ(message("[[1,2],[1,2]]", kAnyWidth), "ok");
  CHECK(has(message("[[1,2],[1,2],[1,2]]", kAnyWidth), "more than 5 values"));
  CHECK(has(message("[[1,2],[1,2],[1,2]]", kNamed), "more than 5 values"));
  CHECK(has(message(R"([{"age":1,"fare":2},{"age":1,"fare":2},{"age":1,"fare":2}])", kNamed),
            "more than 5 values"));
  CHECK(has(message(R"({"ids":[[1,2,3,4]],"mask":[[0,1]]})", kTwo), "more than 5 values"));
  CHECK_EQ(message(R"({"ids":[[1,2,3]],"mask":[[0,1]]})", kTwo), "ok");
  limits.max_elements = 0;
  CHECK(has(message("1", tensor(DType::kInt8, {})), "more than 0 values"));
}

TEST(messages_quote_little) {
  const std::string key = repeated("käse\\u0007\\n", 10'000);
  const auto long_key = decode("[{\"" + key + "\":1}]", kNamed);
  CHECK(!long_key.is_ok() && long_key.status().message().size() < 120);
  CHECK(long_key.status().message().find('\n') == std::string::npos);
  const auto long_number = decode("[[1,2," + std::string(300, '1') + "]]", kFloats);
  CHECK(!long_number.is_ok() && long_number.status().message().size() < 120);
}

// A schema that promises much must not make a small document allocate much.
TEST(memory_is_bounded_by_the_document) {
  std::byte storage[2048];
  std::pmr::monotonic_buffer_resource resource(storage, sizeof storage,
                                               std::pmr::null_memory_resource());
  for (const auto& schema : {matrix(DType::kFloat64, {-1, 1'000'000'000}),
                             tensor(DType::kFloat64, {1'000'000, 1'000'000, 4'000'000'000'000}),
                             tensor(DType::kString, {-1, 1'000'000'000'000})}) {
    const auto result = slipstream::decode_inputs("[[1]]", schema, {}, &resource);
    CHECK(!result.is_ok() && result.status().code() == StatusCode::kInvalidArgument);
  }
}
