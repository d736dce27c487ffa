// DueOrder: the front of a lane by when requests are due instead of by arrival, for as long as
// their deadlines come in another order than they do.
//
// With one timeout for all, arrival order is deadline order and this holds nothing. Once a request
// comes out that was due clearly before the one that came out before it, the lane's requests pass
// through a heap until the lane is empty again.
//
// Threads: one at a time, the batch former. Bounded: kMost requests; what is behind them stays in
// its ring, in order of arrival. Memory is taken when the order is first needed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "core/request.h"

namespace slipstream {

class DueOrder {
 public:
  struct Entry {
    Nanoseconds due_ns;
    std::uint64_t sequence;  // arrivals that are due at once keep their order
    Request* request;
  };

  [[nodiscard]] bool is_needed() const noexcept { return is_needed_; }

  // A request came out of the lane in order of arrival.
  void note(Nanoseconds due_ns) noexcept {
    if (due_ns < last_due_ns_ - kJitter) is_needed_ = make_room();
    last_due_ns_ = due_ns;
  }
  // The lane is empty: it begins again.
  void reset() noexcept {
    is_needed_ = false;
    last_due_ns_ = 0;
  }

  [[nodiscard]] bool is_full() const noexcept { return heap_.size() == kMost; }
  [[nodiscard]] bool is_empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  [[nodiscard]] const Request& first() const noexcept { return *heap_.front().request; }

  void push(Request& request, Nanoseconds due_ns) noexcept {
    heap_.push_back({due_ns, ++sequence_, &request});
    std::ranges::push_heap(heap_, is_later);
  }
  Request& pop() noexcept {
    std::ranges::pop_heap(heap_, is_later);
    Request& request = *heap_.back().request;
    heap_.pop_back();
    return request;
  }

 private:
  static constexpr std::size_t kMost = 1024;
  // Requests of equal timeouts may overtake one another by this much on their way to the lane.
  static constexpr Nanoseconds kJitter = 50'000;

  static bool is_later(const Entry& a, const Entry& b) noexcept {
    return a.due_ns != b.due_ns ? a.due_ns > b.due_ns : a.sequence > b.sequence;
  }
  bool make_room() noexcept {
    try {
      heap_.reserve(kMost);
    } catch (const std::bad_alloc&) {
      return false;  // in order of arrival, then
    }
    return true;
  }

  bool is_needed_ = false;
  Nanoseconds last_due_ns_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace slipstream
