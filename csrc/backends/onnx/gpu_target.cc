#include "backends/onnx/gpu_target.h"

#include <utility>

#include "cuda/cuda_device.h"

namespace slipstream::onnx {

Result<GpuTarget> open_gpu(int ordinal) {
  Result<std::shared_ptr<cuda::CudaDevice>> device = cuda::CudaDevice::open(ordinal);
  if (!device.is_ok()) return device.status();
  return GpuTarget{.device = std::move(device).value(), .ordinal = ordinal, .memory_name = "Cuda"};
}

}  // namespace slipstream::onnx
