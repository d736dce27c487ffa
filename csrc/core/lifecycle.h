// Lifecycle: one 64-bit word that decides who may answer a request and when its slot is free.
//
// Several parties touch an accepted request: the worker that runs it, the deadline timer, a caller
// that cancels, an unloading model. Whoever wins the *claim* answers it; that is what makes
// completions exactly-once. Whoever drops the last *reference* returns the slot to the pool. The
// generation in the same word makes a stale ticket harmless after the slot was reused.
//
// Layout: generation (32 bits) | claimed (1 bit) | references (31 bits).
// Lock-free; any thread. The Atom parameter lets the tests run it under a seeded scheduler.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>

namespace slipstream {

template <template <class> class Atom = std::atomic>
class BasicLifecycle {
 public:
  // Starts a new life with one reference, held by the caller. Only for the owner of a free slot.
  // Returns the generation, which is never 0.
  std::uint32_t open() noexcept {
    std::uint64_t word = word_.load(std::memory_order_acquire);  // pairs with release()
    assert((word & kReferences) == 0);
    std::uint64_t generation = (word >> kGenerationShift) + 1;
    if (generation > kMaxGeneration) generation = 1;
    word_.store((generation << kGenerationShift) | 1, std::memory_order_release);  // with try_claim
    return static_cast<std::uint32_t>(generation);
  }

  // For parties that hold no reference (timer, canceller). True: this call won the claim on the
  // request of that generation, and took a reference that the caller must release().
  [[nodiscard]] bool try_claim(std::uint32_t generation) noexcept {
    std::uint64_t word = word_.load(std::memory_order_acquire);  // pairs with open()
    while ((word >> kGenerationShift) == generation && (word & kClaimed) == 0 &&
           (word & kReferences) != 0) {
      if (word_.compare_exchange_weak(word, (word | kClaimed) + 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }

  // For a party that holds a reference. True exactly once per life, over both kinds of claim.
  [[nodiscard]] bool claim() noexcept {
    return (word_.fetch_or(kClaimed, std::memory_order_acq_rel) & kClaimed) == 0;
  }

  // For a party that holds a reference: whether there is still anybody to answer.
  [[nodiscard]] bool is_claimed() const noexcept {
    return (word_.load(std::memory_order_acquire) & kClaimed) != 0;
  }

  // For a party that holds a reference and shares it with another.
  void add_reference() noexcept { word_.fetch_add(1, std::memory_order_acq_rel); }

  // Drops a reference. True: it was the last, and the caller must recycle the slot.
  // acq_rel: everything done under any reference happens before the recycling.
  [[nodiscard]] bool release() noexcept {
    const std::uint64_t before = word_.fetch_sub(1, std::memory_order_acq_rel);
    assert((before & kReferences) != 0);
    return (before & kReferences) == 1;
  }

  // The generation of a request that is alive and unanswered; 0 when there is none.
  [[nodiscard]] std::uint32_t pending_generation() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_acquire);  // pairs with open()
    if ((word & kClaimed) != 0 || (word & kReferences) == 0) return 0;
    return static_cast<std::uint32_t>(word >> kGenerationShift);
  }

 private:
  static constexpr std::uint64_t kReferences = 0x7fff'ffff;
  static constexpr std::uint64_t kClaimed = 0x8000'0000;
  static constexpr int kGenerationShift = 32;
  static constexpr std::uint64_t kMaxGeneration = 0xffff'ffff;

  Atom<std::uint64_t> word_{0};
};

using Lifecycle = BasicLifecycle<>;

}  // namespace slipstream
