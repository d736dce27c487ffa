// A computation for tests on the simulated device: every output byte is twice the input's, plus the
// number of the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "device/pipeline.h"
#include "device/simulated_device.h"

namespace slipstream::device {

class Doubling final : public Computation {
 public:
  explicit Doubling(Nanoseconds takes_ns) : takes_ns_(takes_ns) {}

  Status enqueue(Stream& stream, const Slot& slot) noexcept override {
    if (!refusal.is_ok()) return std::exchange(refusal, Status());
    const Place in = slot.inputs()[0];
    const Place out = slot.outputs()[0];
    return SimulatedDevice::launch(stream, takes_ns_, [in, out, rows = slot.rows()] {
      const auto* const from = static_cast<const std::uint8_t*>(in.device);
      auto* const to = static_cast<std::uint8_t*>(out.device);
      for (std::size_t i = 0; i < rows * in.row_bytes; ++i)
        to[i] = answer(from[i], i / in.row_bytes);
    });
  }
  Status rebuild() noexcept override {
    ++rebuilds;
    return Status::ok();
  }

  static std::uint8_t answer(std::uint8_t value, std::size_t row) noexcept {
    return static_cast<std::uint8_t>(value * 2 + row);
  }

  Status refusal;  // of the next computation
  int rebuilds = 0;

 private:
  Nanoseconds takes_ns_;
};

// Fills a slot with bytes that depend on the batch's number, and tells whether the answer is right.
inline void fill(const Slot& slot, std::size_t rows, std::size_t batch) noexcept {
  const Place in = slot.inputs()[0];
  auto* const bytes = static_cast<std::uint8_t*>(in.host);
  for (std::size_t i = 0; i < rows * in.row_bytes; ++i) {
    bytes[i] = static_cast<std::uint8_t>(batch * 31 + i);
  }
}

inline bool is_right(const Slot& slot, std::size_t batch) noexcept {
  const Place out = slot.outputs()[0];
  const auto* const bytes = static_cast<const std::uint8_t*>(out.host);
  for (std::size_t i = 0; i < slot.rows() * out.row_bytes; ++i) {
    const auto value = static_cast<std::uint8_t>(batch * 31 + i);
    if (bytes[i] != Doubling::answer(value, i / out.row_bytes)) return false;
  }
  return true;
}

}  // namespace slipstream::device
