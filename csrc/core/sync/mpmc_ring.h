// MpmcRing: a bounded lock-free queue for many producers and many consumers, after Dmitry Vyukov.
//
// When to use: to hand small values (pointers, indices) between threads that must never wait for
// one another. When not: one producer and one consumer only (a plain SPSC ring is cheaper), values
// that are large or own something (T is copied bitwise and never destroyed), or unbounded backlogs.
//
// Threads: any number may push and pop at once. try_peek is for a sole consumer, see there.
// Ownership: the ring owns its cells; a value belongs to whoever popped it. What is left inside
// when the ring is destroyed is forgotten, so pop first what owns something. Failure: the
// constructor throws std::bad_alloc; afterwards nothing allocates, waits or throws. A full or empty
// ring is an ordinary `false`.
//
// Cost: one compare-exchange and one store an operation, with no system call. Memory: three times
// 128 bytes plus capacity * (8 + sizeof(T)), rounded up to T's alignment.
//
// Guarantees:
//  - Successful operations are linearisable as one FIFO queue: each takes effect when it takes its
//    ticket. So values of one producer come out in the order in which it pushed them.
//  - try_push may answer "full" while a pop is half done, and try_pop "empty" while a push is, even
//    if other values were pushed completely behind it. Otherwise the answers are exact.
//  - Hence after try_push returned true the value may stay invisible until an *earlier* push, still
//    running on another thread, has finished. Consumers that sleep on an empty ring are safe all
//    the same if every producer notifies after its own push and every consumer that got something
//    passes the notification on (event_count.h shows how, and why).
//  - Lock-free in tickets (a delayed thread never stops others from taking theirs), but a thread
//    suspended between ticket and publication holds up its own cell, and so those behind it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>

#include "core/sync/cache_line.h"
#include "core/sync/ticket_counter.h"

namespace slipstream {

// Smallest power of two that holds `wanted`, at least 2. Absurd sizes saturate: allocating fails.
[[nodiscard]] constexpr std::size_t ring_capacity(std::size_t wanted) noexcept {
  constexpr std::size_t kLargest = std::size_t{1} << (std::numeric_limits<std::size_t>::digits - 1);
  return std::bit_ceil(std::clamp(wanted, std::size_t{2}, kLargest));
}

// `Atom` is std::atomic except in tests, which substitute an atomic under a deterministic
// scheduler.
template <class T, template <class> class Atom = std::atomic>
class MpmcRing {
  static_assert(std::is_trivially_copyable_v<T>, "cells are copied bitwise and never destroyed");
  static_assert(std::is_default_constructible_v<T>, "cells exist before the first push");

 public:
  using value_type = T;

  // Holds at least `capacity` values: the next power of two, and no fewer than 2.
  explicit MpmcRing(std::size_t capacity)
      : mask_(ring_capacity(capacity) - 1),
        lap_shift_(std::countr_one(mask_)),
        cells_(std::make_unique<Cell[]>(mask_ + 1)) {
    // Two aligned members in three ranges: the first range is what nobody writes, then tail, then
    // head. (offsetof would say it more directly, but needs a standard-layout class.)
    static_assert(sizeof(MpmcRing) == 3 * kFalseSharingBytes);
    static_assert(alignof(MpmcRing) == kFalseSharingBytes);
  }
  MpmcRing(const MpmcRing&) = delete;
  MpmcRing& operator=(const MpmcRing&) = delete;
  ~MpmcRing() = default;

  // False: full.
  [[nodiscard]] bool try_push(T value) noexcept {
    std::uint64_t ticket = tail_.next();
    for (;;) {
      Cell& cell = cell_of(ticket);
      const std::uint64_t free_turn = turn_of(ticket);
      // Acquire: pairs with [popped] in try_pop, so that the last reader is done with the value.
      const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn < free_turn) return false;  // the value of one lap ago has not been popped
      if (turn > free_turn) {              // somebody else used this ticket
        ticket = tail_.next();
      } else if (tail_.try_take(ticket)) {
        cell.value = value;
        // [pushed] Release: pairs with the acquires in try_pop and try_peek.
        cell.turn.store(free_turn + 1, std::memory_order_release);
        return true;
      }
    }
  }

  // False: empty; `value` is untouched.
  [[nodiscard]] bool try_pop(T& value) noexcept {
    std::uint64_t ticket = head_.next();
    for (;;) {
      Cell& cell = cell_of(ticket);
      const std::uint64_t full_turn = turn_of(ticket) + 1;
      // Acquire: pairs with [pushed] in try_push, so that the value is there to be read.
      const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn < full_turn) return false;  // not pushed yet, or not completely
      if (turn > full_turn) {              // somebody else used this ticket
        ticket = head_.next();
      } else if (head_.try_take(ticket)) {
        value = cell.value;
        // [popped] Release: pairs with the acquire in try_push one lap later.
        cell.turn.store(full_turn + 1, std::memory_order_release);
        return true;
      }
    }
  }

  // Copies the value that try_pop would take and leaves it there; false: empty. Legal only while no
  // other thread pops (a sole consumer, or the holder of a lock that all consumers take): a
  // concurrent pop would free the cell for a producer to overwrite during the copy.
  [[nodiscard]] bool try_peek(T& value) const noexcept {
    const std::uint64_t ticket = head_.next();
    const Cell& cell = cell_of(ticket);
    // Acquire: pairs with [pushed] in try_push.
    if (cell.turn.load(std::memory_order_acquire) != turn_of(ticket) + 1) return false;
    value = cell.value;
    return true;
  }

  // Best effort: exact only while no other thread pushes or pops, but always within [0,
  // capacity()]. Counts pushes that have their ticket and are not finished, so try_pop may fail
  // beside it.
  [[nodiscard]] std::size_t approx_size() const noexcept {
    const std::uint64_t head = head_.next();
    const std::uint64_t tail = tail_.next();
    if (tail <= head) return 0;
    return static_cast<std::size_t>(std::min<std::uint64_t>(tail - head, capacity()));
  }
  // Best effort too, but a push that happened before the call is seen unless it has been popped.
  [[nodiscard]] bool approx_empty() const noexcept { return approx_size() == 0; }

  [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

 private:
  // `turn` says whose turn it is: 2 * lap for the producer of that lap, 2 * lap + 1 for its
  // consumer. All cells start at 0, free for lap 0. Cells are packed: neighbours share lines, which
  // costs some traffic under contention and keeps a thousand-entry lane of pointers in 16 KiB.
  struct Cell {
    Atom<std::uint64_t> turn{0};
    T value{};
  };

  [[nodiscard]] Cell& cell_of(std::uint64_t ticket) const noexcept {
    return cells_[static_cast<std::size_t>(ticket) & mask_];
  }
  [[nodiscard]] std::uint64_t turn_of(std::uint64_t ticket) const noexcept {
    return (ticket >> lap_shift_) * 2;
  }

  // Written by nobody after construction, so they may be shared by everybody.
  const std::size_t mask_;
  const int lap_shift_;
  const std::unique_ptr<Cell[]> cells_;
  // Written by producers, and by consumers: a range each.
  alignas(kFalseSharingBytes) TicketCounter<Atom> tail_;
  alignas(kFalseSharingBytes) TicketCounter<Atom> head_;
};

}  // namespace slipstream
