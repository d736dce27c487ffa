// IndexStack: a lock-free LIFO of the integers [0, capacity), the free list of a slab.
//
// Use it to hand out slots of a fixed array from any thread; LIFO keeps the slots in use few and
// warm in cache. Not for passing messages: it knows indices, each at most once.
// A Treiber stack; the head carries a 32-bit tag that changes with every operation, so an index
// that leaves and comes back between a load and its compare-exchange (ABA) is noticed. Lock-free,
// any thread, no allocation after construction, 4 bytes an index.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <vector>

namespace slipstream {

template <template <class> class Atom = std::atomic>
class BasicIndexStack {
 public:
  // Full at first: pops give 0, 1, 2, ... while nothing is pushed back.
  explicit BasicIndexStack(std::uint32_t capacity) : next_(capacity), head_(capacity ? 0 : kNone) {
    for (std::uint32_t i = 0; i < capacity; ++i) {
      next_[i].store(i + 1 < capacity ? i + 1 : kNone, std::memory_order_release);
    }
  }

  // False when no index is left.
  [[nodiscard]] bool try_pop(std::uint32_t& index) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);  // pairs with push()
    while (index_of(head) != kNone) {
      // May read a stale link when another thread took this index; the tag then fails the exchange.
      const std::uint32_t next = next_[index_of(head)].load(std::memory_order_acquire);
      if (head_.compare_exchange_weak(head, tagged(head, next), std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        index = index_of(head);
        return true;
      }
    }
    return false;
  }

  // Returns an index that try_pop gave out. What the caller did to the slot before happens before
  // what the next owner does.
  void push(std::uint32_t index) noexcept {
    assert(index < next_.size());
    std::uint64_t head = head_.load(std::memory_order_acquire);
    do {
      next_[index].store(index_of(head), std::memory_order_release);  // pairs with try_pop()
    } while (!head_.compare_exchange_weak(head, tagged(head, index), std::memory_order_acq_rel,
                                          std::memory_order_acquire));
  }

  [[nodiscard]] std::uint32_t capacity() const noexcept {
    return static_cast<std::uint32_t>(next_.size());
  }

 private:
  static constexpr std::uint32_t kNone = 0xffff'ffff;

  static std::uint32_t index_of(std::uint64_t head) noexcept {
    return static_cast<std::uint32_t>(head);
  }
  // `index` with the tag that follows head's.
  static std::uint64_t tagged(std::uint64_t head, std::uint32_t index) noexcept {
    return (((head >> 32) + 1) << 32) | index;
  }

  std::vector<Atom<std::uint32_t>> next_;
  alignas(64) Atom<std::uint64_t> head_;
};

using IndexStack = BasicIndexStack<>;

}  // namespace slipstream
