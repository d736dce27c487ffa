// What MpmcRing and its mutex twin promise, one test for both, then both under real threads.
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "core/sync/mpmc_ring.h"
#include "core/sync/mutex_ring.h"
#include "harness.h"

namespace slipstream {
namespace {

// One body, two tests.
#define RING_TEST(name)               \
  template <class Ring>               \
  void name();                        \
  TEST(mpmc_ring_##name) {            \
    name<MpmcRing<std::uint64_t>>();  \
  }                                   \
  TEST(mutex_ring_##name) {           \
    name<MutexRing<std::uint64_t>>(); \
  }                                   \
  template <class Ring>               \
  void name()

RING_TEST(capacity_is_rounded_up_to_a_power_of_two) {
  CHECK_EQ(Ring(0).capacity(), 2U);
  CHECK_EQ(Ring(1).capacity(), 2U);
  CHECK_EQ(Ring(2).capacity(), 2U);
  CHECK_EQ(Ring(3).capacity(), 4U);
  CHECK_EQ(Ring(1000).capacity(), 1024U);
}

RING_TEST(absurd_capacity_throws_instead_of_wrapping_around) {
  bool thrown = false;
  try {
    const Ring ring(~std::size_t{0});
  } catch (const std::exception&) {  // bad_alloc, or the twin's length_error
    thrown = true;
  }
  CHECK(thrown);
}

RING_TEST(fills_up_exactly_and_empties_in_order_for_many_laps) {
  Ring ring(4);
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  for (int lap = 0; lap < 100; ++lap) {
    while (ring.try_push(pushed)) ++pushed;
    CHECK_EQ(pushed - popped, 4U);
    CHECK_EQ(ring.approx_size(), 4U);
    std::uint64_t value = 0;
    for (int i = 0; i < 3; ++i) {  // three of four, so that every lap starts at another cell
      REQUIRE(ring.try_pop(value));
      CHECK_EQ(value, popped++);
    }
    CHECK_EQ(ring.approx_size(), 1U);
    CHECK(!ring.approx_empty());
  }
}

RING_TEST(empty_pop_and_peek_leave_the_value_alone) {
  Ring ring(2);
  std::uint64_t value = 7;
  for (int i = 0; i < 5; ++i) {
    CHECK(ring.approx_empty());
    CHECK(!ring.try_pop(value));
    CHECK(!ring.try_peek(value));
    CHECK_EQ(value, 7U);
    REQUIRE(ring.try_push(3));
    std::uint64_t popped = 0;
    REQUIRE(ring.try_pop(popped));
  }
}

RING_TEST(peek_shows_what_the_next_pop_takes) {
  Ring ring(2);
  for (std::uint64_t i = 0; i < 9; ++i) {
    REQUIRE(ring.try_push(i));
    std::uint64_t peeked = 99;
    std::uint64_t popped = 99;
    REQUIRE(ring.try_peek(peeked));
    REQUIRE(ring.try_peek(peeked));
    CHECK_EQ(ring.approx_size(), 1U);
    REQUIRE(ring.try_pop(popped));
    CHECK_EQ(peeked, i);
    CHECK_EQ(popped, i);
  }
}

// Four times as wide as a machine word: a torn copy would show as fields that disagree.
struct Wide {
  std::uint64_t producer = 0;
  std::uint64_t number = 0;
  std::uint64_t check = 0;
  std::uint64_t pad = 0;
};

constexpr std::uint64_t kProducers = 3;
constexpr std::uint64_t kConsumers = 3;
constexpr std::uint64_t kPerProducer = 20'000;

std::uint64_t checksum(std::uint64_t producer, std::uint64_t number) {
  return (number * kProducers + producer) * 0x9e3779b97f4a7c15U;
}

template <class Ring>
void produce(Ring& ring, std::uint64_t producer) {
  for (std::uint64_t number = 0; number < kPerProducer; ++number) {
    while (!ring.try_push({producer, number, checksum(producer, number), 0})) {
      std::this_thread::yield();
    }
  }
}

// Pops until `remaining` values are accounted for, and returns what it got, in order.
template <class Ring>
std::vector<Wide> consume(Ring& ring, std::atomic<std::uint64_t>& remaining) {
  std::vector<Wide> got;
  while (remaining.load() != 0) {
    Wide value;
    if (ring.try_pop(value)) {
      remaining.fetch_sub(1);
      got.push_back(value);
    } else {
      std::this_thread::yield();
    }
  }
  return got;
}

// Nothing lost, doubled, torn or, as each consumer sees it, reordered within a producer.
template <class Ring>
void stress(std::size_t capacity) {
  Ring ring(capacity);
  std::atomic<std::uint64_t> remaining{kProducers * kPerProducer};
  std::vector<std::vector<Wide>> got(kConsumers);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kConsumers; ++i) {
    threads.emplace_back([&, i] { got[i] = consume(ring, remaining); });
  }
  for (std::uint64_t i = 0; i < kProducers; ++i) threads.emplace_back([&, i] { produce(ring, i); });
  for (std::thread& thread : threads) thread.join();

  std::vector<std::vector<bool>> seen(kProducers, std::vector<bool>(kPerProducer, false));
  std::uint64_t torn = 0;
  std::uint64_t doubled = 0;
  std::uint64_t reordered = 0;
  std::uint64_t total = 0;
  for (const std::vector<Wide>& values : got) {
    std::vector<std::uint64_t> next(kProducers, 0);
    for (const Wide& value : values) {
      if (value.producer >= kProducers || value.number >= kPerProducer ||
          value.check != checksum(value.producer, value.number)) {
        ++torn;
        continue;
      }
      if (value.number < next[value.producer]) ++reordered;
      next[value.producer] = value.number + 1;
      if (seen[value.producer][value.number]) ++doubled;
      seen[value.producer][value.number] = true;
      ++total;
    }
  }
  CHECK_EQ(torn, 0U);
  CHECK_EQ(doubled, 0U);
  CHECK_EQ(reordered, 0U);
  CHECK_EQ(total, kProducers * kPerProducer);
  CHECK(ring.approx_empty());
}

TEST(mpmc_ring_stress_on_two_cells) {
  stress<MpmcRing<Wide>>(2);
}
TEST(mpmc_ring_stress_on_many_cells) {
  stress<MpmcRing<Wide>>(256);
}
TEST(mutex_ring_stress_on_two_cells) {
  stress<MutexRing<Wide>>(2);
}

// A sole consumer may peek while producers push: what it sees is what it then gets.
TEST(mpmc_ring_sole_consumer_peeks_beside_producers) {
  MpmcRing<Wide> ring(4);
  std::vector<std::thread> producers;
  for (std::uint64_t i = 0; i < kProducers; ++i) {
    producers.emplace_back([&ring, i] { produce(ring, i); });
  }
  std::uint64_t mismatches = 0;
  for (std::uint64_t popped = 0; popped < kProducers * kPerProducer;) {
    Wide peeked;
    Wide value;
    if (!ring.try_peek(peeked)) {
      std::this_thread::yield();
      continue;
    }
    const bool same = ring.try_pop(value) && value.check == peeked.check &&
                      value.check == checksum(peeked.producer, peeked.number);
    if (!same) ++mismatches;
    ++popped;
  }
  for (std::thread& producer : producers) producer.join();
  CHECK_EQ(mismatches, 0U);
}

}  // namespace
}  // namespace slipstream
