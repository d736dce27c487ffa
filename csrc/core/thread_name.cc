#include "core/thread_name.h"

#include <pthread.h>

#include <algorithm>
#include <array>

namespace slipstream {

void set_current_thread_name(const std::string& name) noexcept {
  std::array<char, 16> buffer{};  // the kernel's limit, with the terminating zero
  std::copy_n(name.begin(), std::min(name.size(), buffer.size() - 1), buffer.begin());
  (void)pthread_setname_np(pthread_self(), buffer.data());
}

}  // namespace slipstream
