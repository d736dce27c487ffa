// MpmcRing under deterministic schedules: seeded interleavings of two or three threads on a ring of
// two cells, each history held against a sequential queue. Then proof that this finds real bugs.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/sync/mpmc_ring.h"
#include "deterministic_schedule.h"
#include "fifo_history.h"
#include "harness.h"

namespace slipstream {
namespace {

using schedule::DeterministicSchedule;
using schedule::FifoHistory;
using schedule::FifoOperation;
using schedule::first_complaint;
using schedule::Outcome;
using schedule::ScheduledAtomic;
using schedule::SeededRandom;

using ScheduledRing = MpmcRing<int, ScheduledAtomic>;

template <class Ring>
void push(Ring& ring, int value, const DeterministicSchedule& schedule, FifoHistory& history) {
  const std::uint64_t called = schedule.step();
  const bool pushed = ring.try_push(value);
  history.add({FifoOperation::Kind::kPush, pushed, value, called, schedule.step()});
}

template <class Ring>
void pop(Ring& ring, const DeterministicSchedule& schedule, FifoHistory& history) {
  const std::uint64_t called = schedule.step();
  int value = -1;
  const bool popped = ring.try_pop(value);
  history.add({FifoOperation::Kind::kPop, popped, value, called, schedule.step()});
}

// Two or three threads with two to four pushes and pops each, as the seed says, on two cells. What
// is left is popped at the end, so that a lost value contradicts the history.
template <class Ring>
std::string random_program(std::uint64_t seed) {
  constexpr std::size_t kCapacity = 2;
  SeededRandom random(~seed);
  Ring ring(kCapacity);
  FifoHistory history(kCapacity);
  DeterministicSchedule schedule(seed);
  const int threads = 2 + static_cast<int>(random.below(2));
  for (int thread = 0; thread < threads; ++thread) {
    std::vector<bool> pushes;
    for (std::size_t n = 2 + random.below(3); n > 0; --n) pushes.push_back(random.one_in(2));
    schedule.spawn([&, thread, pushes] {
      int value = thread * 100;
      for (const bool is_push : pushes) {
        if (is_push) {
          push(ring, value++, schedule, history);
        } else {
          pop(ring, schedule, history);
        }
      }
    });
  }
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  for (std::uint64_t end = schedule.step() + 1, left = 0; left <= kCapacity; ++left, ++end) {
    int value = -1;
    const bool popped = ring.try_pop(value);
    history.add({FifoOperation::Kind::kPop, popped, value, end, end + 1});
  }
  return history.complaint();
}

TEST(every_history_fits_a_sequential_queue) {
  CHECK_EQ(first_complaint(3000, random_program<ScheduledRing>).value_or(""), "");
}

// Two producers that never fill the ring and one consumer that looks first: no push may fail, and a
// peek must show what the pop takes.
std::string sole_consumer(std::uint64_t seed) {
  ScheduledRing ring(4);
  DeterministicSchedule schedule(seed);
  std::string complaint;
  for (const int producer : {0, 1}) {
    schedule.spawn([&, producer] {
      for (int i = 0; i < 2; ++i) {
        if (!ring.try_push(producer * 100 + i)) complaint = "a ring with room refused a push";
      }
    });
  }
  std::array<int, 2> next = {0, 0};
  const auto take = [&] {
    int peeked = -1;
    int popped = -1;
    if (!ring.try_peek(peeked)) return false;
    if (!ring.try_pop(popped)) complaint = "peek saw a value and pop did not";
    if (popped != peeked) complaint = "peek and pop disagree";
    const auto producer = static_cast<std::size_t>(popped / 100);
    if (popped % 100 != next.at(producer)++) complaint = "reordered within a producer";
    return true;
  };
  schedule.spawn([&] {
    for (int looks = 0; looks < 6; ++looks) (void)take();
  });
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  while (take()) continue;
  if (next != std::array<int, 2>{2, 2}) complaint = "a value was lost";
  return complaint;
}

TEST(sole_consumer_peeks_and_nothing_is_lost) {
  CHECK_EQ(first_complaint(1000, sole_consumer).value_or(""), "");
}

// MpmcRing with one mistake each, to see whether the tests above deserve any trust.
enum class Mistake : std::uint8_t {
  kNone,
  kTicketNotAtomic,     // load and store where compare-exchange belongs
  kPublishBeforeWrite,  // the consumer may read before the value is there
  kFreeBeforeRead,      // the producer may overwrite before the value is read
  kNoLapInTurn,         // "full or free" only, so a delayed producer meets the wrong lap
};

template <Mistake mistake>
class BrokenRing {
 public:
  explicit BrokenRing(std::size_t capacity) : cells_(capacity) {}

  bool try_push(int value) noexcept {
    for (;;) {
      std::uint64_t ticket = tail_.load(kAny);
      Cell& cell = cells_[ticket % cells_.size()];
      const std::uint64_t turn = cell.turn.load(kAny);
      if (turn < turn_of(ticket)) return false;
      if (mistake == Mistake::kNoLapInTurn && turn != 0) return false;
      if (turn > turn_of(ticket) || !take(tail_, ticket)) continue;
      if (mistake != Mistake::kPublishBeforeWrite) cell.value = value;
      cell.turn.store(turn_of(ticket) + 1, kAny);
      if (mistake == Mistake::kPublishBeforeWrite) cell.value = value;
      return true;
    }
  }

  bool try_pop(int& value) noexcept {
    for (;;) {
      std::uint64_t ticket = head_.load(kAny);
      Cell& cell = cells_[ticket % cells_.size()];
      const std::uint64_t turn = cell.turn.load(kAny);
      if (turn < turn_of(ticket) + 1) return false;
      if (turn > turn_of(ticket) + 1 || !take(head_, ticket)) continue;
      if (mistake != Mistake::kFreeBeforeRead) value = cell.value;
      cell.turn.store(mistake == Mistake::kNoLapInTurn ? 0 : turn_of(ticket) + 2, kAny);
      if (mistake == Mistake::kFreeBeforeRead) value = cell.value;
      return true;
    }
  }

 private:
  static constexpr auto kAny = std::memory_order_seq_cst;
  struct Cell {
    ScheduledAtomic<std::uint64_t> turn;
    int value = -1;
  };
  static bool take(ScheduledAtomic<std::uint64_t>& next, std::uint64_t ticket) {
    if (mistake != Mistake::kTicketNotAtomic) {
      return next.compare_exchange_weak(ticket, ticket + 1, kAny, kAny);
    }
    if (next.load(kAny) != ticket) return false;
    next.store(ticket + 1, kAny);
    return true;
  }
  [[nodiscard]] std::uint64_t turn_of(std::uint64_t ticket) const {
    return mistake == Mistake::kNoLapInTurn ? 0 : ticket / cells_.size() * 2;
  }

  std::vector<Cell> cells_;
  ScheduledAtomic<std::uint64_t> tail_;
  ScheduledAtomic<std::uint64_t> head_;
};

template <Mistake mistake>
bool is_caught(std::uint64_t seeds) {
  return first_complaint(seeds, random_program<BrokenRing<mistake>>).has_value();
}

TEST(schedules_catch_deliberate_mistakes_and_only_those) {
  CHECK(!is_caught<Mistake::kNone>(500));
  CHECK(is_caught<Mistake::kTicketNotAtomic>(500));
  CHECK(is_caught<Mistake::kPublishBeforeWrite>(500));
  CHECK(is_caught<Mistake::kFreeBeforeRead>(500));
  CHECK(is_caught<Mistake::kNoLapInTurn>(500));
}

TEST(equal_seeds_give_equal_schedules) {
  const auto trace = [](std::uint64_t seed) {
    ScheduledRing ring(2);
    DeterministicSchedule schedule(seed);
    for (const int producer : {0, 1, 2})
      schedule.spawn([&, producer] { (void)ring.try_push(producer); });
    (void)schedule.run();
    return schedule.trace();
  };
  int different = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    CHECK_EQ(trace(seed), trace(seed));
    if (trace(seed) != trace(seed + 1)) ++different;
  }
  CHECK(different > 40);
}

TEST(history_checker_knows_right_from_wrong) {
  const auto check = [](std::initializer_list<FifoOperation> operations) {
    FifoHistory history(2);
    for (const FifoOperation& operation : operations) history.add(operation);
    return history.complaint().empty();
  };
  constexpr auto kPush = FifoOperation::Kind::kPush;
  constexpr auto kPop = FifoOperation::Kind::kPop;
  CHECK(check({{kPush, true, 1, 0, 1}, {kPop, true, 1, 2, 3}, {kPop, false, 0, 4, 5}}));
  CHECK(check({{kPush, true, 1, 0, 3}, {kPush, true, 2, 1, 2}, {kPop, true, 2, 4, 5}}));
  CHECK(check({{kPush, true, 1, 0, 3}, {kPop, false, 0, 1, 2}}));   // overlaps: excused
  CHECK(!check({{kPush, true, 1, 0, 1}, {kPop, false, 0, 2, 3}}));  // not empty
  CHECK(!check({{kPush, false, 1, 0, 1}}));                         // not full
  CHECK(!check({{kPush, true, 1, 0, 1}, {kPop, true, 2, 2, 3}}));   // out of thin air
  CHECK(!check({{kPop, true, 1, 0, 1}, {kPush, true, 1, 2, 3}}));   // before its push
  CHECK(!check({{kPush, true, 1, 0, 1}, {kPush, true, 2, 2, 3}, {kPop, true, 2, 4, 5}}));
  CHECK(!check({{kPush, true, 1, 0, 1}, {kPush, true, 2, 2, 3}, {kPush, true, 3, 4, 5}}));
}

}  // namespace
}  // namespace slipstream
