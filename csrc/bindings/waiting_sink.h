// WaitingSink: a caller that blocks until its request ends. Lives on the caller's stack.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/completion.h"

namespace slipstream::bindings {

class WaitingSink : public CompletionSink {
 public:
  // Asks for no flush: once `wait_for` saw the answer this object may be gone.
  bool complete(std::uint64_t /*tag*/, Response&& response) noexcept override {
    const std::scoped_lock lock(mutex_);
    response_ = std::move(response);
    done_ = true;
    done_changed_.notify_one();  // under the lock: the waiter cannot leave before it is released
    return false;
  }

  // True once the request has ended.
  [[nodiscard]] bool wait_for(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return done_changed_.wait_for(lock, timeout, [this] { return done_; });
  }

  // Precondition: wait_for returned true.
  [[nodiscard]] Response take() noexcept { return std::move(response_); }

 private:
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;  // guarded by mutex_
  Response response_;  // guarded by mutex_ until done_
};

}  // namespace slipstream::bindings
