#include "core/this_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace slipstream {

void set_current_thread_name(const std::string& name) noexcept {
  std::array<char, 16> buffer{};  // the kernel's limit, with the terminating zero
  std::copy_n(name.begin(), std::min(name.size(), buffer.size() - 1), buffer.begin());
  (void)pthread_setname_np(pthread_self(), buffer.data());
}

void yield_precedence(int nice) noexcept {
  if (nice == 0) return;
  const auto thread = static_cast<id_t>(gettid());
  (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + nice);
}

}  // namespace slipstream
