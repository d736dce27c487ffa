// Inputs: the tensors of one request, made from JSON or from NumPy arrays.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "core/backend.h"
#include "core/tensor.h"

namespace slipstream::bindings {

struct InputsObject {
  std::vector<Tensor> tensors;

  [[nodiscard]] std::int64_t rows() const noexcept {
    return tensors.empty() ? 0 : tensors.front().rows();
  }
};

// (name, dtype, dims) of Python -> TensorSpec. Throws ValueError for an unknown dtype.
[[nodiscard]] TensorSpec tensor_spec_of(const pybind11::handle& triple);

// TensorSpec -> (name, dtype, dims).
[[nodiscard]] pybind11::tuple triple_of(const TensorSpec& spec);

}  // namespace slipstream::bindings
