// What a model on a GPU computes on, and where ONNX Runtime's tensors there lie.
//
// Apart from the rest, so that tests put another one in its place: the host as if it were a device,
// which runs all of this where there is no GPU.
#pragma once

#include <memory>

#include "core/status.h"
#include "device/device.h"

namespace slipstream::onnx {

struct GpuTarget {
  std::shared_ptr<device::Device> device;
  int ordinal = 0;
  const char* memory_name = "";  // of its memory, as ONNX Runtime calls it
  // In tests the host plays it, and the CPU provider computes on it. What ONNX Runtime reads on the
  // host may lie there as if it were on the device.
  bool is_host = false;
  bool is_host_memory_its = false;
};

[[nodiscard]] Result<GpuTarget> open_gpu(int ordinal);

}  // namespace slipstream::onnx
