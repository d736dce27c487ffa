// CompletionQueue: completions on their way to an event loop, one wake-up for many.
//
// Workers append; the first one since the last drain writes an eventfd that the loop watches; the
// loop drains everything that has come together. Any thread completes; one thread drains.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/completion.h"

namespace slipstream::bindings {

class CompletionQueue : public CompletionSink {
 public:
  using Item = std::pair<std::uint64_t, Response>;

  // Throws std::system_error when the process is out of file descriptors.
  CompletionQueue();
  ~CompletionQueue() override;

  bool complete(std::uint64_t tag, Response&& response) noexcept override;
  void flush() noexcept override;

  // Readable while there is something to drain.
  [[nodiscard]] int file_descriptor() const noexcept { return event_fd_; }

  // Everything that has completed, in order; `items` is replaced and its memory reused.
  void drain(std::vector<Item>& items);

  // Blocks until there is something to drain, or the time is up. For threads without an event loop.
  [[nodiscard]] bool wait(int timeout_ms) const noexcept;

  // Makes a blocked wait() return.
  void wake() const noexcept;

 private:
  int event_fd_;
  std::mutex mutex_;
  std::vector<Item> items_;  // guarded by mutex_
  bool signalled_ = false;   // guarded by mutex_
};

}  // namespace slipstream::bindings
