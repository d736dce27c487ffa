// The priority scale. Higher wins; each level has a lane of its own in every model's queue.
#pragma once

#include <cstddef>

namespace slipstream {

inline constexpr int kLowPriority = -1;  // "low" of the inference engine API, below every integer
inline constexpr int kNormalPriority = 0;
inline constexpr int kHighPriority = 5;
inline constexpr int kUrgentPriority = 10;

inline constexpr std::size_t kLaneCount = 12;

[[nodiscard]] constexpr bool is_valid_priority(int priority) noexcept {
  return priority >= kLowPriority && priority <= kUrgentPriority;
}

// Precondition: is_valid_priority(priority).
[[nodiscard]] constexpr std::size_t lane_of(int priority) noexcept {
  return static_cast<std::size_t>(priority - kLowPriority);
}
static_assert(lane_of(kUrgentPriority) + 1 == kLaneCount);

}  // namespace slipstream
