#include "device/device.h"

#include <thread>

namespace slipstream::device {

Status wait_for(Event& event) noexcept {
  for (;;) {
    const Result<bool> is_done = event.is_done();
    if (!is_done.is_ok()) return is_done.status();
    if (is_done.value()) return Status::ok();
    std::this_thread::yield();
  }
}

}  // namespace slipstream::device
