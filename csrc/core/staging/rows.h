// Gathering rows of many tensors into one, the first half of batching; the second half, scattering,
// is Tensor::slice_rows and copies nothing.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <span>

#include "core/batch/batch.h"
#include "core/tensor.h"

namespace slipstream {

// Input `input` of every part, in order, as one tensor from `memory`. A batch of one part gets a
// view of the request's own tensor instead of a copy. Precondition: same dtype and inner
// dimensions. Throws std::bad_alloc.
[[nodiscard]] Tensor gather_rows(const Batch& batch, std::size_t input,
                                 std::pmr::memory_resource* memory);

// The tensors one behind the other along the first dimension. Precondition and failure as above; at
// least one piece.
[[nodiscard]] Tensor concat_rows(std::span<const Tensor> pieces, std::pmr::memory_resource* memory);

}  // namespace slipstream
