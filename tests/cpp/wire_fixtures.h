// Schemas and shorthands that the tests of csrc/wire share.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness.h"
#include "wire/decode.h"
#include "wire/encode.h"

namespace wire_fixtures {

using slipstream::DecodeLimits;
using slipstream::DType;
using slipstream::InputSchema;
using slipstream::Layout;
using slipstream::Result;
using slipstream::Shape;
using slipstream::StatusCode;
using slipstream::Tensor;

using Tensors = std::vector<Tensor>;

inline InputSchema matrix(DType dtype, std::vector<std::int64_t> dims,
                          std::vector<std::string> column_names = {}) {
  return {Layout::kMatrix, {{"x", dtype, std::move(dims)}}, std::move(column_names), true};
}

inline InputSchema tensor(DType dtype, std::vector<std::int64_t> dims) {
  return {Layout::kTensors, {{"x", dtype, std::move(dims)}}, {}, true};
}

inline Result<Tensors> decode(std::string_view json, const InputSchema& schema,
                              const DecodeLimits& limits = {}) {
  return slipstream::decode_inputs(json, schema, limits, std::pmr::new_delete_resource());
}

// The tensors of a document that must be good.
inline Tensors good(std::string_view json, const InputSchema& schema) {
  Result<Tensors> result = decode(json, schema);
  if (!result.is_ok()) CHECK_EQ(result.status().message(), "");
  REQUIRE(result.is_ok());
  return std::move(result).value();
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  const auto elements = tensor.as<T>();
  return {elements.begin(), elements.end()};
}

inline std::string encoded(const Tensor& tensor) {
  std::string out;
  slipstream::encode_tensor(tensor, out);
  return out;
}

inline std::string dims(const Tensor& tensor) {
  return slipstream::to_string(tensor.shape().dims());
}

}  // namespace wire_fixtures

// The document must be refused with this code, in words that contain `words`.
#define CHECK_REFUSED(json, schema, expected_code, words)                \
  do {                                                                   \
    const auto refused = wire_fixtures::decode((json), (schema));        \
    CHECK(!refused.is_ok());                                             \
    if (!refused.is_ok()) {                                              \
      CHECK_EQ(slipstream::status_code_name(refused.status().code()),    \
               slipstream::status_code_name(expected_code));             \
      if (refused.status().message().find(words) == std::string::npos) { \
        CHECK_EQ(refused.status().message(), words);                     \
      }                                                                  \
    }                                                                    \
  } while (false)
#define CHECK_INVALID(json, schema, words) \
  CHECK_REFUSED(json, schema, slipstream::StatusCode::kInvalidArgument, words)
#define CHECK_MALFORMED(json, schema, words) \
  CHECK_REFUSED(json, schema, slipstream::StatusCode::kMalformed, words)
