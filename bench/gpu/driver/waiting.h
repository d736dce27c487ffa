// How the benchmark waits for a device: by asking again and again, which wakes up soonest and takes
// a core. Any thread that has entered the device. Failure: what the event says.
#pragma once

#include "core/status.h"
#include "device/device.h"

namespace slipstream::bench_gpu {

[[nodiscard]] inline Status wait(device::Event& event) {
  while (true) {
    const Result<bool> is_done = event.is_done();
    if (!is_done.is_ok()) return is_done.status();
    if (is_done.value()) return Status::ok();
  }
}

}  // namespace slipstream::bench_gpu
