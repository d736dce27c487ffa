#include "cuda/cuda_status.h"

#include <string>

namespace slipstream::cuda {
namespace {

// Errors that headers older than the driver do not name.
constexpr int kContained = 226;
constexpr int kTensorMemoryLeak = 721;

StatusCode code_of(CUresult result) noexcept {
  if (loses_the_device(result)) return StatusCode::kUnavailable;
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return StatusCode::kResourceExhausted;
    case CUDA_ERROR_DEVICE_UNAVAILABLE:  // another process has it for itself
      return StatusCode::kUnavailable;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_INVALID_HANDLE:
      return StatusCode::kInvalidArgument;
    case CUDA_ERROR_INVALID_CONTEXT:
      return StatusCode::kFailedPrecondition;
    default:
      return StatusCode::kInternal;
  }
}

}  // namespace

bool loses_the_device(CUresult result) noexcept {
  switch (static_cast<int>(result)) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_EXTERNAL_DEVICE:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
    case kContained:
    case kTensorMemoryLeak:
    case CUDA_ERROR_UNKNOWN:  // what a device that fell off the bus answers
      return true;
    default:
      return is_gone(result);
  }
}

bool is_gone(CUresult result) noexcept {
  return result == CUDA_ERROR_CONTEXT_IS_DESTROYED || result == CUDA_ERROR_DEINITIALIZED;
}

std::string cuda_error_text(const Driver& driver, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.call.get_error_name(result, &name) != CUDA_SUCCESS || name == nullptr) {
    return "CUDA error " + std::to_string(static_cast<int>(result));
  }
  if (driver.call.get_error_string(result, &text) != CUDA_SUCCESS || text == nullptr) return name;
  return std::string(name) + " (" + text + ")";
}

Status cuda_status(const Driver& driver, CUresult result, std::string_view what) {
  if (result == CUDA_SUCCESS) return Status::ok();
  std::string message = std::string(what) + ": " + cuda_error_text(driver, result);
  if (result == CUDA_ERROR_INVALID_CONTEXT) {
    message += "; the calling thread has to enter the device first";
  }
  return {code_of(result), std::move(message)};
}

}  // namespace slipstream::cuda
