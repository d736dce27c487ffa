// A CompletionSink that keeps every Response by tag, and counts and orders completions, for tests.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "core/completion.h"

namespace slipstream::testing {

class RecordingSink : public CompletionSink {
 public:
  bool complete(std::uint64_t tag, Response&& response) noexcept override {
    const std::scoped_lock lock(mutex_);
    ++completions_[tag];
    responses_[tag] = std::move(response);
    order_.push_back(tag);
    changed_.notify_all();
    return true;
  }
  void flush() noexcept override {
    const std::scoped_lock lock(mutex_);
    ++flushes_;
  }

  // Blocks until `count` completions came in all; false after ten seconds.
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return order_.size() >= count; });
  }
  Response response(std::uint64_t tag) {
    const std::scoped_lock lock(mutex_);
    return responses_.at(tag);
  }
  int completions(std::uint64_t tag) {
    const std::scoped_lock lock(mutex_);
    return completions_[tag];
  }
  std::size_t total() {
    const std::scoped_lock lock(mutex_);
    return order_.size();
  }
  // Tags in the order of their completions.
  std::vector<std::uint64_t> order() {
    const std::scoped_lock lock(mutex_);
    return order_;
  }
  std::size_t flushes() {
    const std::scoped_lock lock(mutex_);
    return flushes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Response> responses_;
  std::map<std::uint64_t, int> completions_;
  std::vector<std::uint64_t> order_;
  std::size_t flushes_ = 0;
};

}  // namespace slipstream::testing
