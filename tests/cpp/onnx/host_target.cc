// In place of csrc/backends/onnx/gpu_target.cc: the host as a device. ONNX Runtime reads every
// input on the host then; for the second of the two that is not on the device.
#include <memory>

#include "backends/onnx/gpu_target.h"
#include "device/host_device.h"

namespace slipstream::onnx {

Result<GpuTarget> open_gpu(int ordinal) {
  if (ordinal > 1) return failed_precondition("there are two hosts that play devices");
  return GpuTarget{.device = std::make_shared<device::HostDevice>(),
                   .ordinal = ordinal,
                   .memory_name = "Cpu",
                   .is_host_memory_its = ordinal == 0};
}

}  // namespace slipstream::onnx
