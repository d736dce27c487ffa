// What the calling thread is called and how it ranks. Names are for debuggers, profilers, `top -H`.
#pragma once

#include <string>

namespace slipstream {

// Names the calling thread; the kernel keeps the first 15 bytes.
void set_current_thread_name(const std::string& name) noexcept;

// Adds to the calling thread's nice value (Linux counts it per thread), so that threads which stay
// where they are run first when cores are short. Where the system refuses, nothing happens.
void yield_precedence(int nice) noexcept;

}  // namespace slipstream
