// Lifecycle and IndexStack under deterministic schedules: over thousands of interleavings a request
// is answered exactly once, its slot is never reused while somebody refers to it, and a stale
// ticket claims nothing.
#include <cstdint>
#include <string>
#include <vector>

#include "core/lifecycle.h"
#include "core/sync/index_stack.h"
#include "deterministic_schedule.h"
#include "harness.h"

namespace slipstream {
namespace {

using schedule::DeterministicSchedule;
using schedule::first_complaint;
using schedule::Outcome;
using schedule::ScheduledAtomic;
using schedule::SeededRandom;

using Life = BasicLifecycle<ScheduledAtomic>;
using Stack = BasicIndexStack<ScheduledAtomic>;

// One life: the owner, who holds the first reference, the deadline timer and a canceller all try to
// answer; whoever drops the last reference recycles.
template <class L>
std::string one_life(std::uint64_t seed) {
  L life;
  const std::uint32_t generation = life.open();
  int answers = 0;
  int recyclings = 0;
  int users = 1;  // parties that rely on the slot; plain, since the schedule runs one at a time
  const char* complaint = "";
  DeterministicSchedule schedule(seed);
  const auto drop = [&] {
    --users;
    if (!life.release()) return;
    ++recyclings;
    if (users != 0) complaint = "the slot was recycled under somebody's hands";
  };
  schedule.spawn([&] {  // the worker: another part of the request shares in it
    life.add_reference();
    ++users;
    if (!life.is_claimed() && life.claim()) ++answers;
    drop();
    if (life.claim()) ++answers;
    drop();
  });
  schedule.spawn([&] {  // the canceller, with a ticket
    if (!life.try_claim(generation)) return;
    ++users;
    ++answers;
    drop();
  });
  schedule.spawn([&] {  // the timer, which finds out the generation
    const std::uint32_t pending = life.pending_generation();
    if (pending == 0 || !life.try_claim(pending)) return;
    ++users;
    ++answers;
    drop();
  });
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  if (answers != 1) return std::to_string(answers) + " answers";
  if (recyclings != 1) return std::to_string(recyclings) + " recyclings";
  return complaint;
}

TEST(a_life_is_answered_and_recycled_exactly_once) {
  CHECK_EQ(first_complaint(5000, one_life<Life>).value_or(""), "");
}

// One slot serves several lives in a row while a canceller claims with tickets that may be stale:
// no claim may reach a life that it does not name.
std::string lives_in_a_row(std::uint64_t seed) {
  struct Slot {
    Life life;
    std::uint32_t owner_generation = 0;  // written by the owner while nobody else refers to it
  };
  Slot slot;
  constexpr int kLives = 3;
  std::vector<std::uint32_t> tickets;  // of every life, published after open()
  std::vector<int> answers(kLives + 1, 0);
  bool in_use = false;
  const char* complaint = "";
  DeterministicSchedule schedule(seed);
  const auto drop = [&] {
    if (slot.life.release()) in_use = false;
  };
  schedule.spawn([&] {
    int opened = 0;
    while (opened < kLives && !schedule.abandoned()) {
      DeterministicSchedule::yield_point();
      if (in_use) continue;  // the canceller still refers to it
      in_use = true;
      slot.owner_generation = slot.life.open();
      tickets.push_back(slot.owner_generation);
      ++opened;
      if (slot.life.claim()) ++answers[slot.owner_generation];
      drop();
    }
  });
  schedule.spawn([&] {
    SeededRandom random(seed);
    for (int i = 0; i < 4; ++i) {
      DeterministicSchedule::yield_point();
      if (tickets.empty()) continue;
      const std::uint32_t ticket = tickets[random.below(tickets.size())];
      if (!slot.life.try_claim(ticket)) continue;
      if (slot.owner_generation != ticket) complaint = "a stale ticket claimed a later life";
      ++answers[ticket];
      drop();
    }
  });
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  for (int generation = 1; generation <= kLives; ++generation) {
    if (answers[static_cast<std::size_t>(generation)] != 1) return "a life without its one answer";
  }
  return complaint;
}

TEST(stale_tickets_claim_nothing) {
  CHECK_EQ(first_complaint(4000, lives_in_a_row).value_or(""), "");
}

// A lifecycle with the mistake of looking and setting in two steps.
struct CarelessLife : Life {
  bool claim() noexcept {
    if (is_claimed()) return false;
    (void)Life::claim();
    return true;
  }
};

TEST(schedules_catch_a_claim_in_two_steps) {
  CHECK(first_complaint(500, one_life<CarelessLife>).has_value());
}

// Threads pop and push; an index is never handed out twice, and all are there in the end.
template <class S>
std::string pops_and_pushes(std::uint64_t seed) {
  constexpr std::uint32_t kCapacity = 3;
  S stack(kCapacity);
  std::vector<int> owners(kCapacity, 0);
  const char* complaint = "";
  DeterministicSchedule schedule(seed);
  for (int thread = 0; thread < 3; ++thread) {
    schedule.spawn([&] {
      for (int round = 0; round < 2; ++round) {
        std::uint32_t first = 0;
        std::uint32_t second = 0;
        const bool has_first = stack.try_pop(first);
        if (has_first && ++owners[first] != 1) complaint = "an index had two owners";
        const bool has_second = stack.try_pop(second);
        if (has_second && ++owners[second] != 1) complaint = "an index had two owners";
        if (has_first) {
          --owners[first];
          stack.push(first);
        }
        if (has_second) {
          --owners[second];
          stack.push(second);
        }
      }
    });
  }
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  if (*complaint != '\0') return complaint;
  std::uint32_t index = 0;
  std::uint32_t left = 0;
  while (left <= kCapacity && stack.try_pop(index)) ++left;
  return left == kCapacity ? "" : std::to_string(left) + " indices were left";
}

TEST(an_index_has_one_owner_and_none_is_lost) {
  CHECK_EQ(first_complaint(5000, pops_and_pushes<Stack>).value_or(""), "");
}

// The stack without its tag: an index that leaves and comes back between a pop's load and its
// exchange (ABA) goes unnoticed, and a link of the past becomes the head.
class UntaggedStack {
 public:
  explicit UntaggedStack(std::uint32_t capacity) : next_(capacity), head_(0) {
    for (std::uint32_t i = 0; i < capacity; ++i) {
      next_[i].store(i + 1 < capacity ? i + 1 : kNone, std::memory_order_release);
    }
  }
  bool try_pop(std::uint32_t& index) noexcept {
    index = head_.load(std::memory_order_acquire);
    while (index != kNone) {
      const std::uint32_t next = next_[index].load(std::memory_order_acquire);
      if (head_.compare_exchange_weak(index, next, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }
  void push(std::uint32_t index) noexcept {
    std::uint32_t head = head_.load(std::memory_order_acquire);
    do {
      next_[index].store(head, std::memory_order_release);
    } while (!head_.compare_exchange_weak(head, index, std::memory_order_acq_rel,
                                          std::memory_order_acquire));
  }

 private:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  std::vector<ScheduledAtomic<std::uint32_t>> next_;
  ScheduledAtomic<std::uint32_t> head_;
};

TEST(schedules_catch_aba) {
  CHECK(first_complaint(5000, pops_and_pushes<UntaggedStack>).has_value());
}

TEST(equal_seeds_give_equal_schedules) {
  const auto trace_of = [](std::uint64_t seed) {
    Life life;
    const std::uint32_t generation = life.open();
    DeterministicSchedule schedule(seed);
    for (int i = 0; i < 3; ++i) {
      schedule.spawn([&] {
        if (life.try_claim(generation)) (void)life.release();
      });
    }
    (void)schedule.run();
    return schedule.trace();
  };
  for (std::uint64_t seed = 0; seed < 50; ++seed) CHECK_EQ(trace_of(seed), trace_of(seed));
}

}  // namespace
}  // namespace slipstream
