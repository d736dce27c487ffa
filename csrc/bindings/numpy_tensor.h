// NumPy arrays <-> tensors. Both directions share memory wherever the layouts agree.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/backend.h"
#include "core/tensor.h"

namespace slipstream::bindings {

// A tensor of the spec's dtype over the array. Zero-copy when the array is C-contiguous, aligned
// and of that dtype already; a converted copy when NumPy can cast "same_kind"; strings are copied
// from object or str arrays (None and nan become the missing string). Throws InvalidInputError
// naming the input for anything else. The shape is not checked here: the model does that.
[[nodiscard]] Tensor tensor_from_array(const TensorSpec& spec, const pybind11::handle& array);

// A view of the tensor's memory that keeps it alive; None for an empty Tensor (an unwanted output).
// Copies only strings (to an object array, missing ones as None) and bfloat16 (to float32).
[[nodiscard]] pybind11::object array_from_tensor(const Tensor& tensor);

// The NumPy dtype that stands for a tensor's: "object" for strings, "float32" for bfloat16.
[[nodiscard]] pybind11::dtype numpy_dtype(DType dtype);

}  // namespace slipstream::bindings
