// Thread names, so that debuggers, profilers and `top -H` say who works.
#pragma once

#include <string>

namespace slipstream {

// Names the calling thread; the kernel keeps the first 15 bytes.
void set_current_thread_name(const std::string& name) noexcept;

}  // namespace slipstream
