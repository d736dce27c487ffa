// Tensors of the core to and from tensors of libtorch; neither way copies where it need not.
//
// Threads: any. Ownership: to_torch gives a view that may not outlive its source; to_core gives a
// tensor that keeps the libtorch one alive. Failure: see each.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory_resource>
#include <optional>
#include <span>
#include <string>

#include "core/status.h"
#include "core/tensor.h"

namespace slipstream::libtorch {

[[nodiscard]] c10::ScalarType scalar_type_of(DType dtype) noexcept;  // not of kString
// nullopt for what the core has no word for: complex, quantized and 8-bit floating numbers.
[[nodiscard]] std::optional<DType> dtype_of(c10::ScalarType type) noexcept;

// A view of the tensor's memory, which is at `place`; a copy of it where the model writes to its
// inputs. Not of strings.
[[nodiscard]] at::Tensor to_torch(const Tensor& tensor, c10::Device place, bool copied);

// The elements where they are, if they lie at `place` row by row in memory that nothing else refers
// to; else a copy there: whoever gets a tensor may write to it, and what a model returns may be one
// of its weights, or one of `inputs`, whose memory the caller may reuse after the call.
//   kInternal: of another type than `expected`, or of none that the core has
[[nodiscard]] Result<Tensor> to_core(at::Tensor tensor, c10::Device place, DType expected,
                                     const std::string& name, std::span<const Tensor> inputs,
                                     std::pmr::memory_resource* memory);

}  // namespace slipstream::libtorch
