// NumPy arrays in page-locked memory, and which memory of arrays that is.
//
// Threads: any, with the GIL for making arrays; is_pinned() without. Ownership: an array keeps its
// memory, and the memory the device's context. Failure: make_pinned_array() raises.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>

namespace slipstream::bindings {

// An uninitialised C-contiguous array that a GPU copies from by itself. Raises FailedPrecondition
// without a usable GPU, ResourceExhausted where so much cannot be locked.
[[nodiscard]] pybind11::array make_pinned_array(const std::vector<pybind11::ssize_t>& shape,
                                                const pybind11::dtype& dtype, int device);

// Whether these bytes all lie in memory that make_pinned_array() made.
[[nodiscard]] bool is_pinned(const void* data, std::size_t bytes) noexcept;

}  // namespace slipstream::bindings
