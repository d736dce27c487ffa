// Reference answers: inputs and outputs that another implementation computed.
//
// A text file of lines, written by make_models.py:
//   case
//   input <name> <dtype> <dims> <elements>
//   output <name> <dtype> <dims> <elements>
// Dims are joined by commas, "-" for a scalar. Elements are the bytes of the tensor in hexadecimal;
// of a string tensor, each string's bytes, joined by commas. "-" stands for no bytes.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace slipstream::conformance {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct ReferenceCase {
  std::vector<NamedTensor> inputs;
  std::vector<NamedTensor> outputs;
};

// Throws std::runtime_error for a file that is missing or not as described.
[[nodiscard]] std::vector<ReferenceCase> read_reference(const std::string& path);

}  // namespace slipstream::conformance
