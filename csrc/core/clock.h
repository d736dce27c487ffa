// The one clock of the core: monotonic nanoseconds. Deadlines are absolute values of it, so that
// they survive being handed from stage to stage; wall-clock time never enters the core.
// Threads: any. Cost: one vDSO call, no system call.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace slipstream {

// A point on the monotonic clock, or a span of it.
using Nanoseconds = std::int64_t;

// The deadline of what may take for ever.
inline constexpr Nanoseconds kNoDeadline = std::numeric_limits<Nanoseconds>::max();

[[nodiscard]] inline Nanoseconds now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace slipstream
