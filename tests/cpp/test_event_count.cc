// EventCount on real threads: what each call promises, what it costs, and that nobody sleeps
// through the arrival of work. Every test runs with both sleepers.
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/sync/event_count.h"
#include "core/sync/mpmc_ring.h"
#include "harness.h"

namespace slipstream {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;

// One body, two tests.
#define EVENTS_TEST(name)                                 \
  template <class Events>                                 \
  void name();                                            \
  TEST(default_sleeper_##name) {                          \
    name<EventCount>();                                   \
  }                                                       \
  TEST(condvar_sleeper_##name) {                          \
    name<BasicEventCount<std::atomic, CondvarSleeper>>(); \
  }                                                       \
  template <class Events>                                 \
  void name()

EVENTS_TEST(notification_after_prepare_is_not_slept_through) {
  Events events;
  const auto first = events.prepare_wait();
  events.notify_one();
  events.wait(first);  // would hang
  const auto second = events.prepare_wait();
  CHECK(first != second);
  events.notify_all();
  CHECK(events.wait_until(second, now_ns() - 1));  // notified beats late
  CHECK_EQ(events.approx_waiters(), 0U);
}

EVENTS_TEST(deadline_passes_without_notification) {
  Events events;
  events.notify_one();  // before prepare_wait, so not for this wait
  for (const Nanoseconds deadline :
       {now_ns() + 2 * kMillisecond, now_ns(), Nanoseconds{0}, Nanoseconds{-5}, -kNoDeadline}) {
    const auto key = events.prepare_wait();
    CHECK(!events.wait_until(key, deadline));
    CHECK(now_ns() >= deadline);
    CHECK_EQ(events.approx_waiters(), 0U);
  }
}

EVENTS_TEST(waiters_are_counted_until_they_leave) {
  Events events;
  const auto key = events.prepare_wait();
  (void)events.prepare_wait();
  CHECK_EQ(events.approx_waiters(), 2U);
  events.cancel_wait();
  CHECK_EQ(events.approx_waiters(), 1U);
  events.notify_one();
  events.wait(key);
  CHECK_EQ(events.approx_waiters(), 0U);
}

EVENTS_TEST(notify_all_wakes_every_sleeper) {
  Events events;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const auto key = events.prepare_wait();
        if (stop.load()) {
          events.cancel_wait();
        } else {
          events.wait(key);
        }
      }
    });
  }
  while (events.approx_waiters() < 4) std::this_thread::yield();
  stop.store(true);
  events.notify_all();
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(events.approx_waiters(), 0U);
}

// The two ways to learn of a notification; ThreadSanitizer sees whether each of them publishes what
// the notifier wrote before.
EVENTS_TEST(sleeper_sees_what_was_written_before_the_notification) {
  for (int round = 1; round <= 50; ++round) {
    Events events;
    int written = 0;
    const auto key = events.prepare_wait();
    std::thread writer([&] {
      written = round;
      events.notify_one();
    });
    events.wait(key);
    CHECK_EQ(written, round);
    writer.join();
  }
}

EVENTS_TEST(late_waiter_sees_what_was_written_before_the_notification) {
  for (int round = 1; round <= 50; ++round) {
    Events events;
    int written = 0;
    const auto none_yet = events.prepare_wait();
    std::thread writer([&] {
      written = round;
      events.notify_one();
    });
    int announced = 1;  // nothing but prepare_wait here: leaving would publish as well
    for (; events.prepare_wait() == none_yet; ++announced) std::this_thread::yield();
    CHECK_EQ(written, round);
    for (; announced >= 0; --announced) events.cancel_wait();
    CHECK_EQ(events.approx_waiters(), 0U);
    writer.join();
  }
}

// Workers that sleep whenever the ring is empty, and producers that leave them time to. Some waits
// have deadlines, so that timing out races with being woken. A lost wake-up hangs the test.
template <class Events>
struct Workshop {
  static constexpr int kProducers = 2;
  static constexpr int kWorkers = 3;
  static constexpr int kPerProducer = 4'000;

  MpmcRing<int> ring{8};
  Events work_came;
  Events room_came;
  std::atomic<int> done{0};
  std::atomic<std::int64_t> sum{0};

  void produce(int base) {
    for (int i = 0; i < kPerProducer; ++i) {
      while (!ring.try_push(base + i)) {
        const auto key = room_came.prepare_wait();
        if (ring.approx_size() < ring.capacity()) {
          room_came.cancel_wait();
        } else {
          room_came.wait(key);
        }
      }
      work_came.notify_one();
      if (i % 64 == 0) std::this_thread::yield();
    }
  }

  bool take() {
    int value = 0;
    if (!ring.try_pop(value)) return false;
    room_came.notify_one();
    sum.fetch_add(value);
    if (done.fetch_add(1) + 1 == kProducers * kPerProducer) work_came.notify_all();
    return true;
  }

  void work(int worker) {
    while (done.load() < kProducers * kPerProducer) {
      if (take()) continue;
      const auto key = work_came.prepare_wait();
      if (!ring.approx_empty() || done.load() == kProducers * kPerProducer) {
        work_came.cancel_wait();
      } else if (worker == 0) {
        (void)work_came.wait_until(key, now_ns() + 20'000);
      } else {
        work_came.wait(key);
      }
    }
  }
};

EVENTS_TEST(no_wake_up_is_lost_under_stress) {
  using Shop = Workshop<Events>;
  Shop shop;
  std::vector<std::thread> threads;
  for (int i = 0; i < Shop::kWorkers; ++i) threads.emplace_back([&, i] { shop.work(i); });
  for (int i = 0; i < Shop::kProducers; ++i) {
    threads.emplace_back([&, i] { shop.produce(i * Shop::kPerProducer); });
  }
  for (std::thread& thread : threads) thread.join();
  constexpr std::int64_t kTotal = Shop::kProducers * Shop::kPerProducer;
  CHECK_EQ(shop.sum.load(), kTotal * (kTotal - 1) / 2);
  CHECK_EQ(shop.work_came.approx_waiters(), 0U);
}

// A sleeper that counts instead of calling the system.
struct CountingSleeper {
  static inline int wakes = 0;
  static inline int sleeps = 0;
  static inline int spurious = 0;  // so many sleeps end for no reason, as sleeps may
  bool sleep(const std::atomic<std::uint64_t>& /*state*/, std::uint32_t /*epoch*/,
             Nanoseconds /*deadline_ns*/) noexcept {
    ++sleeps;
    return spurious-- > 0;
  }
  void wake(std::atomic<std::uint64_t>& /*state*/, int /*count*/) noexcept { ++wakes; }
};

TEST(system_is_called_only_when_somebody_waits) {
  BasicEventCount<std::atomic, CountingSleeper> events;
  events.notify_one();
  events.notify_all();
  CHECK_EQ(CountingSleeper::wakes, 0);
  auto key = events.prepare_wait();
  events.notify_one();
  CHECK_EQ(CountingSleeper::wakes, 1);
  events.wait(key);
  CHECK_EQ(CountingSleeper::sleeps, 0);
  key = events.prepare_wait();
  CHECK(!events.wait_until(key, 0));
  CHECK_EQ(CountingSleeper::sleeps, 1);
  events.notify_one();
  CHECK_EQ(CountingSleeper::wakes, 1);
}

TEST(waking_up_for_no_reason_is_neither_a_notification_nor_a_timeout) {
  BasicEventCount<std::atomic, CountingSleeper> events;
  CountingSleeper::sleeps = 0;
  CountingSleeper::spurious = 3;
  CHECK(!events.wait_until(events.prepare_wait(), 0));
  CHECK_EQ(CountingSleeper::sleeps, 4);
}

// Begins just below the top, because 2^32 notifications are too many for a test.
template <class T>
struct NearWrapAround : std::atomic<T> {
  NearWrapAround(T /*zero*/) noexcept : std::atomic<T>(~T{0xffffffff}) {}  // NOLINT: as its base
};

TEST(epoch_wraps_around_without_touching_the_waiters) {
  BasicEventCount<NearWrapAround, CountingSleeper> events;
  const auto last = events.prepare_wait();
  CHECK_EQ(last, 0xffffffffU);
  (void)events.prepare_wait();
  events.notify_one();
  CHECK_EQ(events.approx_waiters(), 2U);
  CHECK(events.wait_until(last, 0));
  events.cancel_wait();
  CHECK_EQ(events.prepare_wait(), 0U);
  events.cancel_wait();
  CHECK_EQ(events.approx_waiters(), 0U);
}

}  // namespace
}  // namespace slipstream
