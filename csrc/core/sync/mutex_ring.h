// MutexRing: the twin of MpmcRing under one mutex, with the same interface.
//
// When to use: in tests and benchmarks, to tell whether the lock-free ring is right and whether it
// is worth its complexity; or to rule the lock-free ring out when hunting a bug. Not on hot paths.
//
// Threads: any number; every operation takes the mutex and may wait for another thread's.
// Ownership and failure: as MpmcRing. Guarantee: fully linearisable, failures included; the approx_
// functions are exact at the moment at which they look, and keep their names for the twin's sake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <type_traits>
#include <vector>

#include "core/sync/mpmc_ring.h"

namespace slipstream {

template <class T>
class MutexRing {
  static_assert(std::is_trivially_copyable_v<T>, "as in MpmcRing");

 public:
  using value_type = T;

  // Rounds up as MpmcRing does. Throws std::bad_alloc.
  explicit MutexRing(std::size_t capacity) : cells_(ring_capacity(capacity)) {}
  MutexRing(const MutexRing&) = delete;
  MutexRing& operator=(const MutexRing&) = delete;
  ~MutexRing() = default;

  // False: full.
  [[nodiscard]] bool try_push(T value) noexcept {
    const std::scoped_lock lock(mutex_);
    if (pushed_ - popped_ == cells_.size()) return false;
    cells_[index_of(pushed_++)] = value;
    return true;
  }

  // False: empty; `value` is untouched.
  [[nodiscard]] bool try_pop(T& value) noexcept {
    const std::scoped_lock lock(mutex_);
    if (pushed_ == popped_) return false;
    value = cells_[index_of(popped_++)];
    return true;
  }

  // What try_pop would take. Safe beside other consumers here, but MpmcRing's is not.
  [[nodiscard]] bool try_peek(T& value) const noexcept {
    const std::scoped_lock lock(mutex_);
    if (pushed_ == popped_) return false;
    value = cells_[index_of(popped_)];
    return true;
  }

  [[nodiscard]] std::size_t approx_size() const noexcept {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(pushed_ - popped_);
  }
  [[nodiscard]] bool approx_empty() const noexcept { return approx_size() == 0; }

  [[nodiscard]] std::size_t capacity() const noexcept { return cells_.size(); }

 private:
  [[nodiscard]] std::size_t index_of(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>(position) & (cells_.size() - 1);
  }

  mutable std::mutex mutex_;
  std::vector<T> cells_;  // never resized
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
};

}  // namespace slipstream
