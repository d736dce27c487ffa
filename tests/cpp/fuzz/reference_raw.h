// Raw tensors for the reference decoder: the nested lists of numbers that they stand for; and its
// numbers, which are text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/reference_json.h"

namespace reference {

struct Wrong {};  // thrown at what the model does not take
struct Open {};   // thrown at what nested lists cannot decide: a shape without elements

// A raw tensor as the nested lists of numbers it stands for. Throws Wrong and Open.
Node lists_of_raw(std::string_view bytes, std::string_view dtype,
                  const std::vector<std::int64_t>& dims, std::size_t rank);

// The number as an integer in decimal; nothing if it has a fraction, is NaN or infinite.
std::optional<std::string> integer_text(const std::string& number);

// A double as text that reads back as the same value, digit by digit where it is an integer.
std::string number_text(double value);

}  // namespace reference
