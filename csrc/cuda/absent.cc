// Stands in for the rest of this folder in a build without CUDA's headers.
#include "core/status.h"
#include "cuda/cuda_device.h"
#include "cuda/survey.h"

namespace slipstream::cuda {
namespace {

Status absent() {
  return failed_precondition(
      "this build was made without CUDA's headers; install nvidia-cuda-runtime (headers only, no "
      "GPU needed) or a CUDA toolkit of 12.0 or newer, and build slipstream again");
}

}  // namespace

Result<CudaSurvey> survey() noexcept {
  return absent();
}

Result<std::shared_ptr<CudaDevice>> CudaDevice::open(int /*index*/) noexcept {
  return absent();
}

}  // namespace slipstream::cuda
