// One sentence for a failed system call, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

namespace slipstream::process {

// "cannot create shared memory: No space left on device"
[[nodiscard]] inline std::string system_error_text(std::string_view what, int error) {
  return "cannot " + std::string(what) + ": " + std::generic_category().message(error);
}

}  // namespace slipstream::process
