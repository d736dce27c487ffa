// A model on a simulated device in real time, and the ways to choose when its next batch begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/backend.h"
#include "core/clock.h"
#include "device/simulated_device.h"

namespace overlap {

using slipstream::Nanoseconds;

// What a batch takes: copies either way, and a computation that grows with its rows.
struct Costs {
  Nanoseconds copy_ns;
  Nanoseconds base_ns;
  Nanoseconds per_row_ns;
};

enum class Policy : std::uint8_t {
  kOneAtATime,  // nothing overlaps
  kEager,       // whatever waits begins as soon as there is room
  kFull,        // while something is in progress, only what fills a batch begins
  kLearned,     // ours: full, or where what was learned says that overlapping gains
};

// One instance of three slots (kOneAtATime: one) on that device.
[[nodiscard]] std::unique_ptr<slipstream::Model> make_model(
    std::shared_ptr<slipstream::device::SimulatedDevice> device, Costs costs, Policy policy);

}  // namespace overlap
