// Which NVIDIA devices this process could use, told by the driver without touching any of them.
//
// When to use: to report, and to choose a device. When not: to compute on one (cuda_device.h). What
// is free of a device's memory is not here: only a context knows, and making one takes hundreds of
// MiB of that memory.
// Threads: any. Ownership: everything is a value. Failure: a Status whose message says why CUDA
// cannot be used and what helps; asking again later is allowed, and may succeed.
// It initializes the driver in this process. A child that is forked afterwards, and does not exec,
// cannot use CUDA, so ask only when somebody wants to know.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/status.h"

namespace slipstream::cuda {

struct CudaProperties {
  int index = 0;     // as CUDA counts in this process: CUDA_VISIBLE_DEVICES chooses and orders
  std::string name;  // "NVIDIA H100 PCIe"
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 0;
  int copy_engines = 0;  // copies that can be in progress beside a computation
  std::size_t total_bytes = 0;
  std::string pci_bus_id;  // "0000:3B:00.0"
};

struct CudaSurvey {
  int driver_cuda_version = 0;  // the newest CUDA that the driver speaks: 13000 is 13.0
  std::vector<CudaProperties> devices;
};

// At least one device, or why there is none.
[[nodiscard]] Result<CudaSurvey> survey() noexcept;

}  // namespace slipstream::cuda
