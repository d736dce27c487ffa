// decode_inputs again, slowly, over a parsed tree: what csrc/wire must answer to a document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"
#include "wire/input_schema.h"

namespace reference {

// A tensor with its elements written out: floating point as the bits of its double, integers and
// bools in decimal, strings as they are.
struct Expected {
  std::vector<std::int64_t> dims;
  std::vector<std::string> elements;
  friend bool operator==(const Expected&, const Expected&) = default;
};

struct Answer {
  slipstream::StatusCode code = slipstream::StatusCode::kOk;
  std::vector<Expected> inputs;
};

Answer decode(std::string_view json, const slipstream::InputSchema& schema,
              const slipstream::DecodeLimits& limits);

// A real tensor in the same notation.
Expected written_out(const slipstream::Tensor& tensor);

}  // namespace reference
