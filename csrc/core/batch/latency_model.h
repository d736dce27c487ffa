// LatencyModel: what a model's executions have cost, by shape and by number of rows.
//
// Decides what may run inline, what can meet its deadline, and (with the policy) how large a batch
// pays. An estimate is an exponentially weighted moving average per (shape, power of two of rows).
// Executions are slow by accident (a cold start, a preempted thread) but never fast by accident, so
// one that took less than half of the estimate replaces it.
// Reading is lock-free and may see a value one update old; learning takes a lock only for a pair
// never seen before. Bounded: past kEntries pairs, new ones are not learned and stay unknown.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "core/clock.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

class LatencyModel {
 public:
  // Learned time of one execution of `rows` rows of that shape; 0 while unknown.
  [[nodiscard]] Nanoseconds estimate_ns(std::uint64_t shape_key, std::int64_t rows) const noexcept;

  // Any thread.
  void observe(std::uint64_t shape_key, std::int64_t rows, Nanoseconds execute_ns) noexcept;

 private:
  static constexpr std::size_t kEntries = 256;
  static constexpr std::int64_t kWeightShift = 3;  // each observation counts 1/8

  struct Entry {
    std::atomic<std::uint64_t> key{0};  // 0: free; written once
    RelaxedGauge<std::int64_t> estimate_ns;
  };

  static std::uint64_t key_of(std::uint64_t shape_key, std::int64_t rows) noexcept;
  // The entry of that key, or the free one where it would go, or null when the table is full.
  const Entry* find(std::uint64_t key) const noexcept;

  std::array<Entry, kEntries> entries_;
  std::mutex insert_mutex_;
};

}  // namespace slipstream
