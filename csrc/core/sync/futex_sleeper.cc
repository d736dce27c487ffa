#include "core/sync/sleeper.h"

#if defined(__linux__)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <ctime>

namespace slipstream {
namespace {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == sizeof(std::uint64_t));

// The kernel compares 32-bit words: the address of the half of `state` that holds the epoch. Only
// the kernel reads through it, so the C++ aliasing rules are not involved.
const std::uint32_t* epoch_word(const std::atomic<std::uint64_t>& state) noexcept {
  constexpr int kUpperHalf = std::endian::native == std::endian::little ? 1 : 0;
  return reinterpret_cast<const std::uint32_t*>(&state) + kUpperHalf;
}

}  // namespace

bool FutexSleeper::sleep(const std::atomic<std::uint64_t>& state, std::uint32_t epoch,
                         Nanoseconds deadline_ns) noexcept {
  constexpr Nanoseconds kSecond = 1'000'000'000;
  const Nanoseconds deadline = std::max<Nanoseconds>(deadline_ns, 0);  // negative is EINVAL
  std::timespec until{};
  until.tv_sec = static_cast<std::time_t>(deadline / kSecond);
  until.tv_nsec = static_cast<long>(deadline % kSecond);
  // WAIT_BITSET, because its timeout is absolute on CLOCK_MONOTONIC, which is what steady_clock
  // reads on Linux: a wait interrupted by a signal goes on without any arithmetic.
  const long result =
      syscall(SYS_futex, epoch_word(state), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, epoch,
              deadline_ns == kNoDeadline ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

void FutexSleeper::wake(std::atomic<std::uint64_t>& state, int count) noexcept {
  (void)syscall(SYS_futex, epoch_word(state), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr,
                nullptr, 0);
}

}  // namespace slipstream

#endif
