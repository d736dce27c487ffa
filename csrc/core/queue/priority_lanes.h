// PriorityLanes: a model's queue. One bounded lock-free ring per priority level, FIFO within a
// lane, priority with ageing across them.
//
// Any thread pushes. Popping belongs to one thread at a time, the batch former (it peeks at heads
// before it takes one). Memory: kLaneCount rings of `capacity` cells; nothing is allocated later.
// The Ring parameter exists so that the mutex twin can be measured and tested in its place.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "core/batch/policy.h"
#include "core/clock.h"
#include "core/priority.h"
#include "core/sync/mpmc_ring.h"

namespace slipstream {

// What lies in a lane: a slot of the RequestPool, and when it was accepted, so that ageing needs no
// look into the slot.
struct QueuedRequest {
  std::uint32_t index;
  Nanoseconds accepted_ns;
};

template <class Ring = MpmcRing<QueuedRequest>>
class BasicPriorityLanes {
 public:
  // `capacity`: requests per lane, rounded up to a power of two.
  explicit BasicPriorityLanes(std::size_t capacity)
      : BasicPriorityLanes(capacity, std::make_index_sequence<kLaneCount>{}) {}

  // False when that priority's lane is full: an ordinary status, not an error.
  [[nodiscard]] bool try_push(std::size_t lane, QueuedRequest request) noexcept {
    return lanes_[lane]->try_push(request);
  }

  // The accept time of the lane's head; kNoDeadline when it is empty. Former only.
  [[nodiscard]] Nanoseconds head(std::size_t lane) const noexcept {
    QueuedRequest head;
    return lanes_[lane]->try_peek(head) ? head.accepted_ns : kNoDeadline;
  }

  // Former only.
  [[nodiscard]] bool try_peek(std::size_t lane, QueuedRequest& request) const noexcept {
    return lanes_[lane]->try_peek(request);
  }

  // Former only.
  [[nodiscard]] bool try_pop(std::size_t lane, QueuedRequest& request) noexcept {
    return lanes_[lane]->try_pop(request);
  }

  // May be stale when it returns. For statistics: it reads every ring.
  [[nodiscard]] std::size_t approx_size() const noexcept {
    std::size_t size = 0;
    for (const auto& lane : lanes_) size += lane->approx_size();
    return size;
  }

 private:
  template <std::size_t... Lane>
  BasicPriorityLanes(std::size_t capacity, std::index_sequence<Lane...>)
      : lanes_{((void)Lane, std::make_unique<Ring>(capacity))...} {}

  std::array<std::unique_ptr<Ring>, kLaneCount> lanes_;
};

using PriorityLanes = BasicPriorityLanes<>;

}  // namespace slipstream
