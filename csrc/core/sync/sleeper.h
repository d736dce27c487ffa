// Sleepers: how EventCount puts a thread to sleep and wakes it. A sleeper has two functions,
//
//   bool sleep(const Atom<std::uint64_t>& state, std::uint32_t epoch, Nanoseconds deadline_ns)
//     Sleeps while the upper half of `state` equals `epoch`: comparing and falling asleep are one
//     step as seen by wake(). May return true at any time for no reason; returns false only when
//     the deadline has passed. A kNoDeadline never passes.
//   void wake(Atom<std::uint64_t>& state, int count)
//     Wakes up to `count` threads asleep on `state`, at least one if there are any.
//
// FutexSleeper is the default on Linux: no state of its own, and no mutex for a notifier to wait
// on. It also steps around a lost-wakeup bug of pthread_cond_signal in glibc 2.27 to 2.40 (bug
// 25847). CondvarSleeper is its mutex twin and the fallback elsewhere; it wakes everybody, for that
// reason.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "core/clock.h"

namespace slipstream {

#if defined(__linux__)
class FutexSleeper {
 public:
  static bool sleep(const std::atomic<std::uint64_t>& state, std::uint32_t epoch,
                    Nanoseconds deadline_ns) noexcept;
  static void wake(std::atomic<std::uint64_t>& state, int count) noexcept;
};
#endif

class CondvarSleeper {
 public:
  bool sleep(const std::atomic<std::uint64_t>& state, std::uint32_t epoch,
             Nanoseconds deadline_ns) noexcept {
    std::unique_lock lock(mutex_);
    // Acquire: pairs with [notified] in event_count.h.
    const std::uint64_t seen = state.load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(seen >> 32U) != epoch) return true;
    if (deadline_ns == kNoDeadline) {
      woken_.wait(lock);
      return true;
    }
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    return woken_.wait_until(lock, deadline) == std::cv_status::no_timeout;
  }

  void wake(std::atomic<std::uint64_t>& /*state*/, int /*count*/) noexcept {
    // Passing through the mutex: nobody is between the comparison and the wait when we notify.
    {
      const std::scoped_lock lock(mutex_);
    }
    woken_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable woken_;
};

#if defined(__linux__)
using DefaultSleeper = FutexSleeper;
#else
using DefaultSleeper = CondvarSleeper;
#endif

}  // namespace slipstream
