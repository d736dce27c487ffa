// The decoders of csrc/wire again, slowly, over a parsed tree: what they must answer to a document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"
#include "fuzz/reference_json.h"
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
  bool is_open = false;  // a raw tensor without elements: nested lists cannot tell its shape
};

// Of a parsed document; nothing stands for one that is malformed.
Answer decode(const std::optional<Node>& data, const slipstream::InputSchema& schema,
              const slipstream::DecodeLimits& limits);

// Of a body that is a raw tensor.
Answer decode_raw(std::string_view bytes, std::string_view dtype,
                  const std::vector<std::int64_t>& dims, const slipstream::InputSchema& schema,
                  const slipstream::DecodeLimits& limits);

// A real tensor in the same notation.
Expected written_out(const slipstream::Tensor& tensor);

}  // namespace reference
