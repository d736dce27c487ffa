#include "core/this_thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>

namespace slipstream {
namespace {

// A twentieth of the weight of a thread that is not nice at all, and more than nothing: where the
// machine is full, the work goes on all the same.
constexpr int kBehindNice = 13;

// struct sched_attr of <linux/sched/types.h>, in its first form; glibc has no name for it before
// 2.41.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // in the fair class: the length of a turn
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

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

void run_behind(const std::function<void()>& work) {
  std::exception_ptr failure;
  const auto run = [&]() noexcept {
    set_current_thread_name("slip-behind");
    yield_precedence(kBehindNice);
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  std::thread thread;
  try {
    thread = std::thread(run);
  } catch (const std::system_error&) {
    return work();
  }
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

bool shorten_turns(pid_t thread, std::chrono::nanoseconds length) noexcept {
  SchedulingAttributes attributes;
  const int policy = sched_getscheduler(thread);
  if (policy != SCHED_OTHER) return false;  // whoever ranked it otherwise had a reason
  attributes.nice = getpriority(PRIO_PROCESS, static_cast<id_t>(thread));
  attributes.runtime_ns = static_cast<std::uint64_t>(length.count());
  return syscall(SYS_sched_setattr, thread, &attributes, 0U) == 0;
}

}  // namespace slipstream
