// Places in a request's data, in words that its sender can find: "row 3, column 'age'".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "wire/input_schema.h"

namespace slipstream::wire {

// What a value is, for its messages and for what may be empty.
enum class Role : std::uint8_t {
  kRows,    // all the data of a kMatrix model: "row 3, column 'age'"; nothing may be empty
  kTensor,  // an input by name: "input 'x' at [3][1]"; dynamic inner dimensions may be empty
};

// The place `index` in a value for `input`, of `rank` dimensions: "row 3", "input 'x' at [3][1]".
[[nodiscard]] std::string place_of(const InputSchema& schema, const TensorSpec& input, Role role,
                                   std::size_t rank, std::span<const std::int64_t> index);

}  // namespace slipstream::wire
