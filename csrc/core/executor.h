// Running one batch: gather, execute, scatter, complete. Free of queues and threads, so the worker
// and the inline path share it.
#pragma once

#include <cstdint>
#include <span>

#include "core/answers.h"

namespace slipstream {

// Executes the batch and ends every request whose last rows it held; drops the parts' references.
// A failed batch of several requests is run again one by one, so that a poisoned request fails
// alone.
void run_batch(ExecutionContext& context, Instance& instance, Batch& batch) noexcept;

// One execution of `inputs` on its caller's thread, with learning and counting but without
// requests. Never throws.
[[nodiscard]] Response run_once(ExecutionContext& context, Instance& instance,
                                std::span<const Tensor> inputs, std::uint64_t outputs_wanted,
                                std::uint64_t shape_key, std::int64_t rows) noexcept;

}  // namespace slipstream
