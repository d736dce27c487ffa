// Tensor <-> OrtValue.
//
// Numbers are never copied on the way in: the OrtValue is a view of the tensor's memory, valid
// while that tensor lives. On the way out the tensor is a view of the OrtValue's memory and its
// owner releases it. Strings are copied both ways: an OrtValue keeps them in objects of its own.
// Threads: any, one at a time per value. Failure: a Status; throws std::bad_alloc.
#pragma once

#include <memory_resource>
#include <optional>
#include <string_view>

#include "backends/onnx/ort_runtime.h"
#include "backends/onnx/ort_status.h"
#include "core/tensor.h"

namespace slipstream::onnx {

// nullopt for element types that no Tensor carries (complex, 8-bit floats, packed integers).
[[nodiscard]] std::optional<DType> dtype_of(int element_type) noexcept;
[[nodiscard]] int element_type_of(DType dtype) noexcept;

// An OrtValue over `tensor`, which must outlive it. `name` is the input's, for messages.
[[nodiscard]] Result<Owned<OrtValue>> to_ort_value(const Runtime& runtime, const Tensor& tensor,
                                                   std::string_view name);

// A tensor that owns `value`. String elements are copied into memory of `memory`; numbers stay
// where ONNX Runtime put them, and only the owner's control block comes from `memory`.
[[nodiscard]] Result<Tensor> to_tensor(const Runtime& runtime, Owned<OrtValue> value,
                                       std::string_view name, std::pmr::memory_resource* memory);

}  // namespace slipstream::onnx
