// device::Block of device memory or of pinned host memory. As device.h describes blocks; making one
// and giving it back may wait for all that is in progress on the device.
#pragma once

#include <cstddef>
#include <memory>

#include "core/status.h"
#include "cuda/context.h"
#include "device/device.h"

namespace slipstream::cuda {

// A block of no bytes has an address as well.
[[nodiscard]] Result<std::unique_ptr<device::Block>> allocate_on_device(
    const std::shared_ptr<Context>& context, std::size_t bytes);
// Pinned for every context of the process.
[[nodiscard]] Result<std::unique_ptr<device::Block>> allocate_on_host(
    const std::shared_ptr<Context>& context, std::size_t bytes);

}  // namespace slipstream::cuda
