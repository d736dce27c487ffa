// WaitingRows: how many rows wait at each priority, from before their request is pushed until they
// are taken or dropped. So admission, idle workers and the inline path look at two cache lines
// instead of at the two ends of twelve rings.
//
// Threads: any. Numbers may be stale, but what a thread sees after a notification of the pusher
// holds its rows. Cost: one atomic addition a request and lane.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/priority.h"
#include "core/stats/relaxed_counter.h"
#include "core/sync/cache_line.h"

namespace slipstream {

class WaitingRows {
 public:
  void add(std::size_t lane, std::int64_t rows) noexcept { rows_[lane].add(rows); }

  [[nodiscard]] std::int64_t in_lane(std::size_t lane) const noexcept {
    return rows_[lane].value();
  }
  // Of that lane and those above it.
  [[nodiscard]] std::int64_t from(std::size_t lowest) const noexcept {
    std::int64_t sum = 0;
    for (std::size_t lane = lowest; lane < kLaneCount; ++lane) sum += rows_[lane].value();
    return sum;
  }
  [[nodiscard]] bool is_none() const noexcept { return from(0) == 0; }

 private:
  alignas(kFalseSharingBytes) std::array<RelaxedGauge<std::int64_t>, kLaneCount> rows_;
};

}  // namespace slipstream
