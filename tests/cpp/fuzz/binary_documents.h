// Good MessagePack documents and raw tensors, and what can be done to their bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/reference_json.h"
#include "fuzz/tokens.h"
#include "wire/input_schema.h"

namespace fuzz {

struct Packed {
  std::string bytes;
  bool is_exact = true;  // false: a number had to be rounded
};

// The tree in MessagePack, every number and size in one of the ways there are.
Packed to_msgpack(const reference::Node& node, Random& random);

struct RawBody {
  std::string bytes;
  std::string dtype;
  std::vector<std::int64_t> dims;
};

// Mostly one that fits the schema's first input, or all of its columns.
RawBody random_raw(const slipstream::InputSchema& schema, Random& random);

// As {"dtype": ..., "shape": ..., "data": ...}.
std::string to_msgpack(const RawBody& raw, Random& random);

void mutate_msgpack(std::string& document, const std::string& other, Random& random);

}  // namespace fuzz
