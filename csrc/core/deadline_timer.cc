#include "core/deadline_timer.h"

#include "core/this_thread.h"

#include <algorithm>

namespace slipstream {

DeadlineTimer::DeadlineTimer(RequestPool& pool) : pool_(pool), thread_([this] { run(); }) {}

DeadlineTimer::~DeadlineTimer() {
  stopping_.store(true);
  wake_.notify_all();
  thread_.join();
}

bool DeadlineTimer::bring_forward(Nanoseconds due_ns) noexcept {
  Nanoseconds current = next_due_ns_.load();
  while (due_ns < current) {
    if (next_due_ns_.compare_exchange_weak(current, due_ns)) return true;
  }
  return false;
}

void DeadlineTimer::run() noexcept {
  set_current_thread_name("slip-deadlines");
  Nanoseconds next_scan_ns = 0;  // not before
  for (;;) {
    const EventCount::Key key = wake_.prepare_wait();
    if (stopping_.load()) {
      wake_.cancel_wait();
      return;
    }
    const Nanoseconds due_ns = std::max(next_due_ns_.load(), next_scan_ns);
    if (due_ns > now_ns()) {
      (void)wake_.wait_until(key, due_ns);  // why it woke does not matter: it looks again
      continue;
    }
    wake_.cancel_wait();
    next_due_ns_.store(kNoDeadline);
    const Nanoseconds now = now_ns();
    next_scan_ns = now + kTick;
    // What is admitted during the scan brings its deadline forward itself.
    (void)bring_forward(pool_.expire(now));
  }
}

}  // namespace slipstream
