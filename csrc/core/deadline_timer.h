// DeadlineTimer: the one thread that answers requests whose deadline passed, wherever they are
// (queued, or running on an instance that takes too long).
//
// It keeps no list. It sleeps until the earliest deadline it knows of, scans the pool's slots, and
// sleeps again. Admission only wakes it for a deadline earlier than that, and then it sleeps again
// until that one: it scans when a deadline is due, and no more often than every kTick. With the
// usual constant timeout new deadlines are always later ones, so a request costs one store and one
// load here.
//
// No deadline is missed: admission stores the slot's deadline and then loads next_due_ns_; the
// timer stores next_due_ns_ = never and then loads the slots' deadlines. All four are seq_cst, so
// one of the two sees the other.
#pragma once

#include <atomic>
#include <thread>

#include "core/clock.h"
#include "core/request_pool.h"
#include "core/sync/event_count.h"

namespace slipstream {

class DeadlineTimer {
 public:
  // `pool` must outlive the timer. Starts the thread.
  explicit DeadlineTimer(RequestPool& pool);
  // Stops and joins it. Requests still pending are left alone.
  ~DeadlineTimer();
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  // Tells the timer of a deadline that is already stored in its slot. Any thread.
  void note(Nanoseconds deadline_ns) noexcept {
    if (deadline_ns < next_due_ns_.load() && bring_forward(deadline_ns)) wake_.notify_one();
  }

  // Deadlines are answered at most this much late (plus the operating system's own delay); it
  // bounds how often a flood of different deadlines makes the timer scan.
  static constexpr Nanoseconds kTick = 500'000;

 private:
  // Lowers next_due_ns_ to `due_ns`; false when it was as low already.
  bool bring_forward(Nanoseconds due_ns) noexcept;
  void run() noexcept;

  RequestPool& pool_;
  std::atomic<Nanoseconds> next_due_ns_{kNoDeadline};  // no deadline that nobody scanned is before
  std::atomic<bool> stopping_{false};
  EventCount wake_;
  std::thread thread_;
};

}  // namespace slipstream
