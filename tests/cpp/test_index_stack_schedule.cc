// IndexStack under deterministic schedules: an index has one owner at a time and none is lost, in
// particular when it leaves and comes back while another thread is in the middle of a pop (ABA).
#include <array>
#include <cstdint>
#include <string>
#include <vector>

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

constexpr std::uint32_t kIndices = 3;

// Three threads that take and return indices as the seed says, and return everything at the end.
template <class Stack>
std::string take_and_return(std::uint64_t seed) {
  SeededRandom random(~seed);
  Stack stack(kIndices);
  DeterministicSchedule schedule(seed);
  std::array<bool, kIndices> taken{};
  std::string complaint;
  const auto give_back = [&](std::vector<std::uint32_t>& mine) {
    const std::uint32_t index = mine.back();
    mine.pop_back();
    taken.at(index) = false;
    stack.push(index);
  };
  for (int thread = 0; thread < 3; ++thread) {
    const std::uint64_t choices = random.next();
    schedule.spawn([&, choices] {
      std::vector<std::uint32_t> mine;
      for (unsigned step = 0; step < 5; ++step) {
        std::uint32_t index = 0;
        if ((choices >> step & 1U) != 0 && !mine.empty()) {
          give_back(mine);
        } else if (stack.try_pop(index)) {
          if (taken.at(index)) complaint = "an index has two owners";
          taken.at(index) = true;
          mine.push_back(index);
        }
      }
      while (!mine.empty()) give_back(mine);
    });
  }
  if (schedule.run() != Outcome::kFinished) return "went round in circles";
  std::uint32_t index = 0;
  std::uint32_t left = 0;
  while (left <= kIndices && stack.try_pop(index)) ++left;
  if (complaint.empty() && left != kIndices) complaint = "indices were lost or doubled";
  return complaint;
}

TEST(every_index_has_one_owner_and_none_is_lost) {
  CHECK_EQ(first_complaint(2000, take_and_return<BasicIndexStack<ScheduledAtomic>>).value_or(""),
           "");
}

// The same stack without the tag that makes it immune to ABA.
class UntaggedStack {
 public:
  explicit UntaggedStack(std::uint32_t capacity) : next_(capacity), head_(0) {
    for (std::uint32_t i = 0; i < capacity; ++i) next_[i].store(i + 1, kAny);
  }
  bool try_pop(std::uint32_t& index) noexcept {
    for (std::uint32_t head = head_.load(kAny); head < next_.size();) {
      if (head_.compare_exchange_weak(head, next_[head].load(kAny), kAny, kAny)) {
        index = head;
        return true;
      }
    }
    return false;
  }
  void push(std::uint32_t index) noexcept {
    std::uint32_t head = head_.load(kAny);
    do {
      next_[index].store(head, kAny);
    } while (!head_.compare_exchange_weak(head, index, kAny, kAny));
  }

 private:
  static constexpr auto kAny = std::memory_order_seq_cst;
  std::vector<ScheduledAtomic<std::uint32_t>> next_;
  ScheduledAtomic<std::uint32_t> head_;
};

TEST(schedules_catch_the_aba_mistake) {
  CHECK(first_complaint(2000, take_and_return<UntaggedStack>).has_value());
}

}  // namespace
}  // namespace slipstream
