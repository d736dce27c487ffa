// CUresult -> Status, the one translation of the driver's errors.
//
// Threads: any. Failure: none; a result that the driver has no name for is told by its number.
#pragma once

#include <string_view>

#include "core/status.h"
#include "cuda/driver.h"

namespace slipstream::cuda {

// Ok, or "<what>: CUDA_ERROR_… (<its text>)". Memory is kResourceExhausted, what loses the device
// kUnavailable, arguments kInvalidArgument, a device that was not entered kFailedPrecondition, and
// all others kInternal.
[[nodiscard]] Status cuda_status(const Driver& driver, CUresult result, std::string_view what);

// "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)"
[[nodiscard]] std::string cuda_error_text(const Driver& driver, CUresult result);

// Whether the context cannot be used any more after it: every later call would say the same.
[[nodiscard]] bool loses_the_device(CUresult result) noexcept;

// Whether the context, and all that was made in it, does not exist any more.
[[nodiscard]] bool is_gone(CUresult result) noexcept;

}  // namespace slipstream::cuda
