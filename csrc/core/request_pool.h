// RequestPool: the slab that bounds how many requests an engine holds at once.
//
// Slots are plain data addressed by index, so lanes, tickets and the deadline scan pass 4-byte
// numbers, and a full engine is an ordinary status instead of an allocation. Lock-free, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "core/request.h"
#include "core/sync/index_stack.h"

namespace slipstream {

class RequestPool {
 public:
  explicit RequestPool(std::uint32_t capacity);

  // A free slot for the caller to fill; null when all are taken. Nobody else sees it before open().
  [[nodiscard]] Request* acquire() noexcept;

  // Begins the life of a filled slot, with one reference held by the caller. From here on the
  // ticket, even a guessed one, names a request that can be answered.
  [[nodiscard]] Ticket open(Request& request) noexcept;

  // Drops a reference; the last one clears the slot and returns it.
  void release(Request& request) noexcept;

  // Answers the ticket's request with `status` if nobody has answered it yet. True when this call
  // did. Safe for tickets of requests that ended long ago.
  bool complete_early(Ticket ticket, Status status) noexcept;

  // Answers every pending request whose deadline is at or before `now`, and returns the earliest
  // deadline of the rest (kNoDeadline if none). One thread at a time.
  [[nodiscard]] Nanoseconds expire(Nanoseconds now) noexcept;

  [[nodiscard]] Request& slot(std::uint32_t index) noexcept { return slots_[index]; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return free_.capacity(); }

 private:
  std::unique_ptr<Request[]> slots_;
  IndexStack free_;
  std::atomic<std::uint32_t> high_water_{0};  // slots at or above it were never used
};

}  // namespace slipstream
