// Devices on the fake driver for tests: two of them, 1 MiB of memory each, and as much to pin.
#pragma once

#include <atomic>
#include <cstddef>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "cuda/cuda_device.h"
#include "device/device.h"
#include "fake_cuda.h"
#include "harness.h"
#include "must.h"

namespace slipstream::cuda {

using testing::must;

inline constexpr std::size_t kFakeBytes = std::size_t{1} << 20U;

inline std::shared_ptr<CudaDevice> open_fake(int index = 0) {
  fake_cuda_machine(2, 13000);
  fake_cuda_limits(kFakeBytes, kFakeBytes);
  Result<std::shared_ptr<CudaDevice>> device = CudaDevice::open(index);
  REQUIRE(device.is_ok());
  return std::move(device).value();
}

// Whether that says that the device is lost, and by what.
inline bool tells_loss(const Status& status, std::string_view cause) {
  if (status.code() == StatusCode::kUnavailable &&
      status.message().find(cause) != std::string::npos) {
    return true;
  }
  std::cout << "    not a loss by " << cause << ": " << status.message() << '\n';
  return false;
}

// A computation that waits until it is let go.
struct Gate {
  static void wait(void* gate) {
    while (!static_cast<Gate*>(gate)->is_open.load()) std::this_thread::yield();
  }
  std::atomic<bool> is_open{false};
};

inline void launch(device::Stream& stream, void (*kernel)(void*), void* argument) {
  REQUIRE(fake_cuda_launch(static_cast<CUstream>(stream.native()), kernel, argument) ==
          CUDA_SUCCESS);
}

}  // namespace slipstream::cuda
