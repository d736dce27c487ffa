// EventCount under deterministic schedules: over thousands of interleavings nobody sleeps while
// there is work. The sleeper here wakes threads in random order and lets deadlines pass at any
// time.
#include <cstdint>
#include <functional>
#include <string>

#include "core/sync/event_count.h"
#include "core/sync/mpmc_ring.h"
#include "deterministic_schedule.h"
#include "harness.h"

namespace slipstream {
namespace {

using schedule::DeterministicSchedule;
using schedule::first_complaint;
using schedule::Outcome;
using schedule::ScheduledAtomic;
using schedule::SeededRandom;

// Contract in core/sync/sleeper.h. Comparing and falling asleep are one step, as in the kernel:
// there is no scheduling point between them.
struct ScheduledSleeper {
  static bool sleep(const ScheduledAtomic<std::uint64_t>& state, std::uint32_t epoch,
                    Nanoseconds deadline_ns) noexcept {
    DeterministicSchedule::yield_point();
    if (static_cast<std::uint32_t>(state.value_now() >> 32U) != epoch) return true;
    return DeterministicSchedule::sleep_on(&state, deadline_ns != kNoDeadline);
  }
  static void wake(ScheduledAtomic<std::uint64_t>& state, int count) noexcept {
    DeterministicSchedule::yield_point();
    DeterministicSchedule::wake(&state, count);
  }
};

// The same with the mistake that a sleeper must not make: a gap between comparing and sleeping.
struct SleeperWithGap : ScheduledSleeper {
  static bool sleep(const ScheduledAtomic<std::uint64_t>& state, std::uint32_t epoch,
                    Nanoseconds deadline_ns) noexcept {
    if (static_cast<std::uint32_t>(state.value_now() >> 32U) != epoch) return true;
    DeterministicSchedule::yield_point();
    return DeterministicSchedule::sleep_on(&state, deadline_ns != kNoDeadline);
  }
};

using Ring = MpmcRing<int, ScheduledAtomic>;

enum class Protocol : std::uint8_t {
  kRight,
  kLookOnlyBeforePrepare,  // the classic mistake: a push between the look and prepare_wait
  kNotifyBeforePush,       // the producer's version of it
  kKeepNotification,       // take a value and leave, though another may be hidden behind it
};

// Pops `quota` values, sleeping while there is none; with deadlines on a whim of the seed. Then it
// leaves for good, as a consumer does that works on a value for long: nobody may depend on it.
template <Protocol protocol, class Events>
void consume(Ring& ring, Events& events, const DeterministicSchedule& schedule, int quota) {
  int value = 0;
  while (quota > 0 && !schedule.abandoned()) {
    bool popped = protocol == Protocol::kLookOnlyBeforePrepare && ring.try_pop(value);
    if (!popped) {
      const auto key = events.prepare_wait();
      if (protocol != Protocol::kLookOnlyBeforePrepare) popped = ring.try_pop(value);
      if (popped) {
        events.cancel_wait();
      } else if (DeterministicSchedule::on_a_whim(4)) {
        (void)events.wait_until(key, 1);
      } else {
        events.wait(key);
      }
    }
    if (!popped) continue;
    --quota;
    if (protocol != Protocol::kKeepNotification && !ring.approx_empty()) events.notify_one();
  }
}

struct Cast {
  int producers;
  int consumers;
  int values;
};

constexpr Cast kOneOfEach{.producers = 1, .consumers = 1, .values = 2};
constexpr Cast kTwoOfEach{.producers = 2, .consumers = 2, .values = 2};

Cast any_cast(std::uint64_t seed) {
  SeededRandom random(~seed);
  return {.producers = 1 + static_cast<int>(random.below(2)),
          .consumers = 1 + static_cast<int>(random.below(2)),
          .values = 2 + 2 * static_cast<int>(random.below(2))};
}

template <Protocol protocol, class Sleeper>
std::string hand_over(std::uint64_t seed, const Cast& cast) {
  Ring ring(4);
  BasicEventCount<ScheduledAtomic, Sleeper> events;
  DeterministicSchedule schedule(seed);
  for (int i = 0; i < cast.producers; ++i) {
    schedule.spawn([&] {
      for (int value = 0; value < cast.values / cast.producers; ++value) {
        if (protocol == Protocol::kNotifyBeforePush) events.notify_one();
        (void)ring.try_push(value);
        if (protocol != Protocol::kNotifyBeforePush) events.notify_one();
      }
    });
  }
  for (int i = 0; i < cast.consumers; ++i) {
    schedule.spawn(
        [&] { consume<protocol>(ring, events, schedule, cast.values / cast.consumers); });
  }
  switch (schedule.run()) {
    case Outcome::kDeadlock:
      return "a wake-up was lost";
    case Outcome::kStepLimit:
      return "went round in circles";
    case Outcome::kFinished:
      break;
  }
  return events.approx_waiters() == 0 ? "" : "a waiter was counted that had left";
}

TEST(no_wake_up_is_lost_between_ring_and_event_count) {
  const auto scenario = [](std::uint64_t seed) {
    return hand_over<Protocol::kRight, ScheduledSleeper>(seed, any_cast(seed));
  };
  CHECK_EQ(first_complaint(3000, scenario).value_or(""), "");
}

// Two sleepers and a stop flag: notify_all reaches both, wherever they are.
std::string stop_everybody(std::uint64_t seed) {
  BasicEventCount<ScheduledAtomic, ScheduledSleeper> events;
  ScheduledAtomic<int> stop(0);
  DeterministicSchedule schedule(seed);
  for (int i = 0; i < 2; ++i) {
    schedule.spawn([&] {
      for (;;) {
        const auto key = events.prepare_wait();
        if (stop.load(std::memory_order_acquire) != 0 || schedule.abandoned()) break;
        events.wait(key);
      }
      events.cancel_wait();
    });
  }
  schedule.spawn([&] {
    events.notify_one();  // a wake-up for nothing, to send somebody round the loop
    stop.store(1, std::memory_order_release);
    events.notify_all();
  });
  if (schedule.run() != Outcome::kFinished) return "a sleeper missed notify_all";
  return events.approx_waiters() == 0 ? "" : "a waiter was counted that had left";
}

TEST(notify_all_reaches_waiters_in_every_state) {
  CHECK_EQ(first_complaint(2000, stop_everybody).value_or(""), "");
}

// A waiter that is counted before and after a notification must be told of it, even if its deadline
// passed meanwhile: its caller may act on "timed out" without another look.
struct TimeoutRace {
  int told = 0;
  int timed_out = 0;

  std::string operator()(std::uint64_t seed) {
    BasicEventCount<ScheduledAtomic, ScheduledSleeper> events;
    DeterministicSchedule schedule(seed);
    bool notified = false;
    bool must_be_told = false;
    schedule.spawn([&] { notified = events.wait_until(events.prepare_wait(), 1); });
    schedule.spawn([&] {
      const bool counted_before = events.approx_waiters() == 1;
      events.notify_one();
      const bool counted_after = events.approx_waiters() == 1;
      must_be_told = counted_before && counted_after;
    });
    if (schedule.run() != Outcome::kFinished) return "a thread with a deadline slept for ever";
    told += must_be_told ? 1 : 0;
    timed_out += notified ? 0 : 1;
    return must_be_told && !notified ? "a notification was reported as a timeout" : "";
  }
};

TEST(timeout_does_not_swallow_a_notification) {
  TimeoutRace race;
  CHECK_EQ(first_complaint(1000, std::ref(race)).value_or(""), "");
  CHECK(race.told > 50);  // both sides of the race were really run
  CHECK(race.timed_out > 50);
}

template <Protocol protocol, class Sleeper>
bool is_caught(const Cast& cast) {
  const auto scenario = [&](std::uint64_t seed) {
    return hand_over<protocol, Sleeper>(seed, cast);
  };
  return first_complaint(1000, scenario).has_value();
}

TEST(schedules_catch_deliberate_mistakes_and_only_those) {
  CHECK(!(is_caught<Protocol::kRight, ScheduledSleeper>(kOneOfEach)));
  CHECK(!(is_caught<Protocol::kRight, ScheduledSleeper>(kTwoOfEach)));
  CHECK((is_caught<Protocol::kLookOnlyBeforePrepare, ScheduledSleeper>(kOneOfEach)));
  CHECK((is_caught<Protocol::kNotifyBeforePush, ScheduledSleeper>(kOneOfEach)));
  CHECK((is_caught<Protocol::kRight, SleeperWithGap>(kOneOfEach)));
  CHECK((is_caught<Protocol::kKeepNotification, ScheduledSleeper>(kTwoOfEach)));
}

}  // namespace
}  // namespace slipstream
