// What the latency model learns, forgets and refuses to learn; and that threads may share it.
#include "core/batch/latency_model.h"

#include <atomic>
#include <thread>
#include <vector>

#include "harness.h"

namespace slipstream {
namespace {

TEST(unknown_until_observed_and_then_the_first_observation) {
  LatencyModel model;
  CHECK_EQ(model.estimate_ns(7, 1), 0);
  model.observe(7, 1, 5000);
  CHECK_EQ(model.estimate_ns(7, 1), 5000);
}

TEST(shapes_and_powers_of_two_of_rows_are_learned_apart) {
  LatencyModel model;
  model.observe(7, 1, 1000);
  model.observe(7, 64, 9000);
  model.observe(8, 1, 3000);
  CHECK_EQ(model.estimate_ns(7, 1), 1000);
  CHECK_EQ(model.estimate_ns(7, 64), 9000);
  CHECK_EQ(model.estimate_ns(7, 100), 9000);  // 64..127 rows share an estimate
  CHECK_EQ(model.estimate_ns(7, 63), 0);
  CHECK_EQ(model.estimate_ns(8, 1), 3000);
}

TEST(the_estimate_follows_a_slower_model) {
  LatencyModel model;
  model.observe(7, 1, 1000);
  Nanoseconds before = 1000;
  for (int i = 0; i < 100; ++i) {
    model.observe(7, 1, 9000);
    const Nanoseconds now = model.estimate_ns(7, 1);
    CHECK(now >= before && now <= 9000);
    before = now;
  }
  CHECK(before > 8900);
}

TEST(one_slow_execution_moves_it_by_an_eighth_and_is_forgotten_at_once) {
  LatencyModel model;
  model.observe(7, 1, 1000);
  model.observe(7, 1, 81'000);
  CHECK_EQ(model.estimate_ns(7, 1), 11'000);
  model.observe(7, 1, 1000);  // less than half of what was believed
  CHECK_EQ(model.estimate_ns(7, 1), 1000);
  model.observe(7, 1, 900);  // an ordinary fluctuation
  CHECK_EQ(model.estimate_ns(7, 1), 988);
}

TEST(an_execution_without_measurable_time_is_known_all_the_same) {
  LatencyModel model;
  model.observe(7, 1, 100);
  for (int i = 0; i < 50; ++i) model.observe(7, 1, 0);
  CHECK(model.estimate_ns(7, 1) > 0);
}

TEST(memory_is_bounded_and_what_was_learned_stays) {
  LatencyModel model;
  model.observe(1, 1, 1234);
  for (std::uint64_t shape = 2; shape < 5000; ++shape) model.observe(shape, 1, 10);
  CHECK_EQ(model.estimate_ns(1, 1), 1234);
  std::size_t known = 0;
  for (std::uint64_t shape = 2; shape < 5000; ++shape) {
    if (model.estimate_ns(shape, 1) != 0) ++known;
  }
  CHECK(known >= 100 && known < 1000);
}

TEST(threads_learn_together) {
  LatencyModel model;
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        for (std::uint64_t shape = 1; shape <= 40; ++shape) {  // all insert the same at once
          const auto time = static_cast<Nanoseconds>(shape * 1000);
          model.observe(shape, 1, time);
          if (model.estimate_ns(shape, 1) != time) wrong = true;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(!wrong);
}

}  // namespace
}  // namespace slipstream
