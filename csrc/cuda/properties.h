// What the driver tells of one device without a context on it.
//
// Threads: any. Failure: a Status that names the device and the driver's error.
#pragma once

#include "core/status.h"
#include "cuda/driver.h"
#include "cuda/survey.h"

namespace slipstream::cuda {

// kNotFound where the process has no device of that index.
[[nodiscard]] Result<CudaProperties> read_properties(const Driver& driver, int index);

}  // namespace slipstream::cuda
