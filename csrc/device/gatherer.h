// Gatherer: the rows of a batch's input on their way to the device.
//
// What is added lies one behind the other on the device. It is gathered in page-locked memory first
// and copied piece by piece, so that the device begins to copy before the host has gathered all;
// what is page-locked already may be copied from where it lies. One thread gathers far slower than
// a device copies (about 10 GB/s against 50 over PCIe 5), so large inputs are shared with helpers.
//
// Threads: one. Ownership: refers to what it is made of, which outlives it. Failure: what the
// stream refuses, and std::bad_alloc; what was sent before is on the device.
#pragma once

#include <cstddef>
#include <vector>

#include "core/helper_pool.h"
#include "core/status.h"
#include "device/device.h"

namespace slipstream::device {

class Gatherer {
 public:
  struct Part {
    std::byte* to;
    const std::byte* from;
    std::size_t bytes;
  };

  // Helpers, beside the caller, that gathering so many bytes is worth.
  [[nodiscard]] static std::size_t helpers_worth(std::size_t bytes) noexcept;

  // `host` and `device` have room for all that is added. `parts` is only lent, so that no batch
  // allocates. `has_sent` is set before the device is asked to copy anything.
  Gatherer(std::byte* host, std::byte* device, Stream& stream, HelperPool::Crew crew,
           std::vector<Part>& parts, bool& has_sent) noexcept;

  // Adds bytes that stay as they are until flush() or the next add_direct().
  [[nodiscard]] Status add(const std::byte* from, std::size_t bytes);
  // Adds page-locked bytes that stay as they are until the device has copied them.
  [[nodiscard]] Status add_direct(const std::byte* from, std::size_t bytes);
  // Sends what was added and not yet sent.
  [[nodiscard]] Status flush();

 private:
  [[nodiscard]] Status send(const std::byte* from, std::size_t bytes) noexcept;

  std::byte* const host_;
  std::byte* const device_;
  Stream& stream_;
  HelperPool::Crew crew_;
  std::vector<Part>& parts_;  // added, and not gathered yet
  const std::size_t window_bytes_;
  std::size_t added_ = 0;
  std::size_t sent_ = 0;
  bool& has_sent_;
};

}  // namespace slipstream::device
