// RawTensor: a tensor as bytes with a dtype and a shape beside them, as a body of its own or inside
// MessagePack. wire/raw_decode.h says how it becomes a model's inputs.
//
// Bytes are little-endian and row-major. Where the dtype is the model's own and the bytes are
// aligned, the input views them and shares their owner; otherwise elements are converted one by one
// under the rules of wire/decode.h. Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace slipstream::wire {

struct RawTensor {
  std::string_view bytes;
  std::string_view dtype;  // NumPy's name
  std::vector<std::int64_t> dims;
};

// Whether the value at a cursor is a raw tensor.
enum class RawForm : std::uint8_t {
  kNone,   // another value; the cursor stayed
  kRead,   // read, the cursor stands behind it
  kWrong,  // an object of the right keys with wrong values
};

}  // namespace slipstream::wire
