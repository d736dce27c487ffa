// EventCount: the one wake-up behind any number of lock-free rings ("a condition variable for
// conditions that no mutex guards").
//
// A consumer                                         A producer
//
//   for (;;) {                                         ring.try_push(value);
//     const auto key = events.prepare_wait();          events.notify_one();
//     if (!ring.try_pop(value)) {
//       events.wait(key);  // or wait_until
//       continue;
//     }
//     events.cancel_wait();
//     if (!ring.approx_empty()) events.notify_one();
//     work_on(value);
//   }
//
// Two lines of the consumer are easily left out, and must not be:
//  - The look *between* prepare_wait and wait. A producer that pushed too early to be told about
//  the
//    waiter is seen by that look; every later one wakes it. A look before prepare_wait is no use.
//  - Passing the notification on before working for long (needed with several consumers). A value
//    may be hidden behind an earlier, half-finished push (mpmc_ring.h); its notification may then
//    be spent on a consumer that finds nothing and sleeps again, and the one notification that
//    follows, of the earlier push, wakes one consumer for two values.
//
// When to use: threads sleep rarely and for long, producers must not pay when nobody sleeps. When
// not: to count things (it is no semaphore: many notifications may become one wake-up).
//
// Threads: any number of waiters and notifiers. prepare_wait must be followed by exactly one of
// cancel_wait, wait and wait_until on the same thread.
// Ownership: notify may still look at the object after a waiter that it woke has returned, so the
// object must outlive every notify call, not only every wait.
// Failure: none; nothing allocates or throws. Spurious returns are allowed.
// Cost: notify without a waiter is one atomic read-modify-write and no system call; with waiters,
// one system call, until the woken thread has run and left. Memory: 128 bytes, a range of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "core/clock.h"
#include "core/sync/cache_line.h"
#include "core/sync/sleeper.h"

namespace slipstream {

// `Atom` and `Sleeper` are the defaults except in tests, which run the protocol under a
// deterministic scheduler. The contract of a Sleeper is in sleeper.h.
template <template <class> class Atom = std::atomic, class Sleeper = DefaultSleeper>
class BasicEventCount {
 public:
  using Key = std::uint64_t;

  BasicEventCount() noexcept = default;
  BasicEventCount(const BasicEventCount&) = delete;
  BasicEventCount& operator=(const BasicEventCount&) = delete;
  ~BasicEventCount() = default;

  // Announces a waiter. Look for work after it, not before.
  [[nodiscard]] Key prepare_wait() noexcept {
    // Acquire: pairs with [notified]. Both sides are read-modify-writes of one variable, hence
    // totally ordered: either notify comes later and sees this waiter, or it came earlier and what
    // its caller published is visible to the look that follows. Store-then-load on two variables
    // (Dekker) would need seq_cst on both, the ring's included; this needs no more than this pair.
    return state_.fetch_add(kOneWaiter, std::memory_order_acquire) >> kEpochShift;
  }

  // Withdraws prepare_wait: there is work after all.
  void cancel_wait() noexcept { (void)leave(); }

  // Sleeps until a notification that came after prepare_wait returned `key`.
  void wait(Key key) noexcept { (void)wait_until(key, kNoDeadline); }

  // The same until `deadline_ns` on the steady clock (now_ns() + timeout), at most. False: the
  // deadline passed, and no notification came before the thread gave up its place. True: one came,
  // and it may have been meant for this thread alone, so look for work.
  [[nodiscard]] bool wait_until(Key key, Nanoseconds deadline_ns) noexcept {
    // Acquire: pairs with [notified].
    while (epoch_of(state_.load(std::memory_order_acquire)) == key) {
      if (!sleeper_.sleep(state_, static_cast<std::uint32_t>(key), deadline_ns)) break;
    }
    // A notification that still counted this thread must not be reported as a timeout.
    return leave() != key;
  }

  // Wakes at least one thread that waits, if any does.
  void notify_one() noexcept { notify(1); }
  void notify_all() noexcept { notify(std::numeric_limits<int>::max()); }

  // How many threads are between prepare_wait and their return. Stale when it returns.
  [[nodiscard]] std::uint32_t approx_waiters() const noexcept {
    // Acquire: pairs with [notified], for the same reason as everywhere else; no more is meant.
    return waiters_of(state_.load(std::memory_order_acquire));
  }

 private:
  // One word: the number of notifications above (it wraps, and would be misread only by a waiter
  // that is suspended for exactly 2^32 notifications), the number of waiters below.
  static constexpr unsigned kEpochShift = 32;
  static constexpr std::uint64_t kOneWaiter = 1;
  static constexpr std::uint64_t kOneEpoch = std::uint64_t{1} << kEpochShift;

  static constexpr Key epoch_of(std::uint64_t state) noexcept { return state >> kEpochShift; }
  static constexpr std::uint32_t waiters_of(std::uint64_t state) noexcept {
    return static_cast<std::uint32_t>(state);
  }

  // Gives up the waiter's place and returns the epoch at that moment.
  Key leave() noexcept {
    // Acquire: pairs with [notified], so that what the notifier published can be found.
    return epoch_of(state_.fetch_sub(kOneWaiter, std::memory_order_acquire));
  }

  void notify(int count) noexcept {
    // [notified] Release: pairs with the acquires in prepare_wait, wait_until, leave,
    // approx_waiters and CondvarSleeper::sleep. Waiters' own read-modify-writes in between continue
    // its release sequence, so they do not hide it from one another.
    const std::uint64_t before = state_.fetch_add(kOneEpoch, std::memory_order_release);
    if (waiters_of(before) != 0) sleeper_.wake(state_, count);
  }

  alignas(kFalseSharingBytes) Atom<std::uint64_t> state_{0};
  [[no_unique_address]] Sleeper sleeper_;
};

using EventCount = BasicEventCount<>;

static_assert(sizeof(EventCount) % kFalseSharingBytes == 0, "nothing else on its cache lines");
#if defined(__linux__)
static_assert(sizeof(EventCount) == kFalseSharingBytes);
#endif

}  // namespace slipstream
