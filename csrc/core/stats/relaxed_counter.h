// RelaxedCounter and RelaxedGauge: numbers that many threads write and a statistics page reads.
//
// When to use: counts, sums and last values that nobody bases a decision about other memory on.
// When not: to publish anything; these order nothing. memory_order_relaxed for statistics lives in
// this file only.
// Threads: any. Failure: none. Cost: one atomic instruction, no ordering; counters that different
// threads write often should not be neighbours. Reads may be stale and are not consistent with one
// another.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace slipstream {

// An unsigned count. Wraps at 2^64.
class RelaxedCounter {
 public:
  RelaxedCounter() noexcept = default;
  explicit RelaxedCounter(std::uint64_t value) noexcept : value_(value) {}

  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }

  // Sets it to the larger of itself and `candidate`. Tries again only when another thread raised it
  // meanwhile, and to less than `candidate`.
  void raise_to(std::uint64_t candidate) noexcept {
    std::uint64_t seen = value_.load(std::memory_order_relaxed);
    while (seen < candidate &&
           !value_.compare_exchange_weak(seen, candidate, std::memory_order_relaxed)) {
    }
  }

  [[nodiscard]] std::uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The last value that somebody stored: a level (int64_t, up and down) or a measured figure
// (double).
template <class T>
class RelaxedGauge {
  static_assert(std::is_arithmetic_v<T> && std::atomic<T>::is_always_lock_free);

 public:
  RelaxedGauge() noexcept = default;
  explicit RelaxedGauge(T value) noexcept : value_(value) {}

  void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(T delta) noexcept { value_.fetch_add(delta, std::memory_order_relaxed); }
  [[nodiscard]] T value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> value_{};
};

}  // namespace slipstream
