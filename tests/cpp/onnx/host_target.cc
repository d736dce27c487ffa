// In place of csrc/backends/onnx/gpu_target.cc: the host as a device. ONNX Runtime reads every
// input on the host then; for the second of them that is not on the device. The third is said to be
// a device on which the CPU provider does not compute.
#include <memory>

#include "backends/onnx/gpu_target.h"
#include "device/host_device.h"

namespace slipstream::onnx {

Result<GpuTarget> open_gpu(int ordinal) {
  if (ordinal > 2) return failed_precondition("there are three hosts that play devices");
  return GpuTarget{.device = std::make_shared<device::HostDevice>(),
                   .ordinal = ordinal,
                   .memory_name = "Cpu",
                   .is_host = ordinal < 2,
                   .is_host_memory_its = ordinal == 0};
}

}  // namespace slipstream::onnx
