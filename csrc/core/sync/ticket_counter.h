// TicketCounter: hands out consecutive numbers, each to exactly one thread.
//
// Use it to decide *who* may touch a slot. It orders nothing else: every operation is relaxed, and
// the data behind a ticket must be published by an atomic of its own (the cell's turn in MpmcRing).
// Threads: any. Failure: none. Counts from 0 in 64 bits, so it never wraps in practice.
#pragma once

#include <atomic>
#include <cstdint>

namespace slipstream {

template <template <class> class Atom = std::atomic>
class TicketCounter {
 public:
  // The ticket that would be handed out next; possibly stale when it returns.
  [[nodiscard]] std::uint64_t next() const noexcept {
    return next_.load(std::memory_order_relaxed);
  }

  // Takes `ticket` if it is still the next one. Otherwise (and now and then for no reason, as weak
  // compare-exchange does) returns false and sets `ticket` to the one that is next.
  [[nodiscard]] bool try_take(std::uint64_t& ticket) noexcept {
    return next_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_relaxed,
                                       std::memory_order_relaxed);
  }

 private:
  Atom<std::uint64_t> next_{0};
};

}  // namespace slipstream
