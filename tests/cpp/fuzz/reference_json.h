// A JSON parser that is easy to believe: recursive, byte by byte, a tree of nodes, strtod for the
// range of numbers. What the decoder of csrc/wire is compared with; shares no code with it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reference {

struct Node {
  enum class Kind { kNull, kTrue, kFalse, kNumber, kString, kList, kObject, kBinary, kOther };

  Kind kind = Kind::kNull;
  std::string text;               // a number as written, a string decoded, binary data
  std::vector<Node> items;        // of a list, or the values of an object
  std::vector<std::string> keys;  // of an object
};

// The tree, or nothing if `json` is not one JSON value in the sense of wire/decode.h (strict UTF-8,
// no lone surrogates, no number beyond a double, at most max_depth lists and objects deep).
std::optional<Node> parse(std::string_view json, std::size_t max_depth);

}  // namespace reference
