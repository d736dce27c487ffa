#include "bindings/completion_queue.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace slipstream::bindings {

CompletionQueue::CompletionQueue() : event_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "no eventfd for completions");
  }
}

CompletionQueue::~CompletionQueue() {
  close(event_fd_);
}

bool CompletionQueue::complete(std::uint64_t tag, Response&& response) noexcept {
  const std::scoped_lock lock(mutex_);
  items_.emplace_back(tag, std::move(response));
  return !signalled_;
}

void CompletionQueue::flush() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    if (signalled_ || items_.empty()) return;
    signalled_ = true;
  }
  wake();
}

void CompletionQueue::drain(std::vector<Item>& items) {
  items.clear();
  std::uint64_t ignored = 0;
  // Before the swap: a completion that comes in between signals again.
  (void)!read(event_fd_, &ignored, sizeof ignored);
  const std::scoped_lock lock(mutex_);
  items.swap(items_);
  signalled_ = false;
}

bool CompletionQueue::wait(int timeout_ms) const noexcept {
  pollfd watched{.fd = event_fd_, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, timeout_ms) > 0;
}

void CompletionQueue::wake() const noexcept {
  const std::uint64_t one = 1;
  (void)!write(event_fd_, &one, sizeof one);  // can only fail when the counter is full: it is awake
}

}  // namespace slipstream::bindings
