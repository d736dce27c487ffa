// Inputs made up for any model, and comparisons of what comes out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"

namespace slipstream::conformance {

// One tensor per input of `spec`: `rows` rows (as many as the spec says where it fixes them),
// dynamic inner dimensions of size `dynamic_dim`, elements drawn from `seed`. The same arguments
// give the same tensors. Strings hold any bytes, NUL and non-ASCII included.
[[nodiscard]] std::vector<Tensor> make_inputs(const ModelSpec& spec, std::int64_t rows,
                                              std::uint64_t seed, std::int64_t dynamic_dim);

// The rows of all parts, one part behind the other. Parts agree in everything but their rows.
[[nodiscard]] std::vector<Tensor> concatenate(const std::vector<std::vector<Tensor>>& parts);

// Rows [begin, end) of every tensor, as views.
[[nodiscard]] std::vector<Tensor> slice_rows(const std::vector<Tensor>& tensors, std::int64_t begin,
                                             std::int64_t end);

// A tensor with the same elements in memory of its own.
[[nodiscard]] Tensor deep_copy(const Tensor& tensor);
[[nodiscard]] std::vector<Tensor> deep_copy(const std::vector<Tensor>& tensors);

// Overwrites every element, so that whoever still looks at the memory sees something else.
void scribble(std::vector<Tensor>& tensors);

// "" when equal, else what differs. Exact: bit for bit. Close: numbers within what another order of
// summation may change; a matrix product does not compute one row as it computes eight.
[[nodiscard]] std::string difference(const Tensor& a, const Tensor& b, bool exact);
[[nodiscard]] std::string difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b,
                                     bool exact);

// "x: float32 [?, 16]".
[[nodiscard]] std::string describe(const TensorSpec& spec);

}  // namespace slipstream::conformance
