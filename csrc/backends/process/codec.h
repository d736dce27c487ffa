// Tensors to and from a worker's shared memory, in the layout of protocol.h.
//
// What a worker wrote is not trusted: every number is copied out of the shared memory once, then
// checked, then used, so that neither a bug nor hostile model code in the worker can make the
// server read outside the segment. May throw std::bad_alloc. No state; any thread.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "backends/process/segment.h"
#include "core/backend.h"
#include "core/status.h"
#include "core/tensor.h"

namespace slipstream::process {

// Writes the body of an execute message, growing the segment as needed; returns its size.
// kInvalidArgument: larger than the segment's limit, or a rank above kMaxRank.
[[nodiscard]] Result<std::uint64_t> write_tensors(Segment& segment,
                                                  std::span<const Tensor> tensors);

// Reads the body of a result message into newly allocated tensors, one per spec; an output nobody
// wanted may come back as an empty Tensor. kInternal: the worker broke the protocol.
[[nodiscard]] Status read_tensors(std::span<const std::byte> body,
                                  const std::vector<TensorSpec>& specs, const Execution& execution,
                                  std::vector<Tensor>& outputs);

// Reads the body of a ready message. kInternal: the worker broke the protocol, or its model
// declares something impossible (a batchable model with a fixed first dimension).
[[nodiscard]] Result<ModelSpec> read_spec(std::span<const std::byte> body);

}  // namespace slipstream::process
