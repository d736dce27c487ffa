// A MessagePack parser that is easy to believe: recursive, into the tree that reference_json makes.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "fuzz/reference_json.h"

namespace reference {

// The tree, or nothing if `bytes` is not one value in the sense of wire/decode.h. Numbers are text
// that reads back as the same value, "nan" and "inf" among them.
std::optional<Node> parse_msgpack(std::string_view bytes, std::size_t max_depth);

}  // namespace reference
