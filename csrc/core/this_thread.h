// What threads are called and how they rank. Names are for debuggers, profilers, `top -H`.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

namespace slipstream {

// Names the calling thread; the kernel keeps the first 15 bytes.
void set_current_thread_name(const std::string& name) noexcept;

// Adds to the calling thread's nice value (Linux counts it per thread), so that threads which stay
// where they are run first when cores are short. Where the system refuses, nothing happens.
void yield_precedence(int nice) noexcept;

// Does `work` on a thread of its own that ranks behind nearly all others, and waits for it: long
// computations that nobody waits for with a deadline. What it throws is thrown here. Where no
// thread can be started, it is done on this one.
void run_behind(const std::function<void()>& work);

// Asks the kernel for turns of at most `length` (0.1 to 100 ms; 0: as the kernel has it) for a
// thread of this process, and for those that it starts from then on. One with short turns that
// wakes need not wait for the end of another's long turn (the fair class of Linux since 6.12:
// sched_setattr(2), "custom slice"). False where the system refuses; kernels that do not know of it
// change nothing.
bool shorten_turns(pid_t thread, std::chrono::nanoseconds length) noexcept;

}  // namespace slipstream
