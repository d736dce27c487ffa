// What the latency model learns, forgets and refuses to learn; and that threads may share it.
#include "core/batch/latency_model.h"

#include <atomic>
#include <random>
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
  CHECK_EQ(model.estimate_ns(7, 33), 9000);  // 33..64 rows share an estimate
  CHECK_EQ(model.estimate_ns(7, 32), 0);
  CHECK_EQ(model.estimate_ns(8, 1), 3000);
  CHECK_EQ(model.curve(9).mean_ns(1), 0);
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
  model.observe(7, 1, 81'000);  // counts as twice the mean
  CHECK_EQ(model.estimate_ns(7, 1), 1125);
  for (int i = 0; i < 100; ++i) model.observe(7, 1, 81'000);
  CHECK(model.estimate_ns(7, 1) > 80'000);
  model.observe(7, 1, 1000);  // less than half of what was believed
  CHECK_EQ(model.estimate_ns(7, 1), 1000);
  model.observe(7, 1, 900);  // an ordinary fluctuation
  CHECK_EQ(model.estimate_ns(7, 1), 988);
}

TEST(what_runs_inline_is_learned_apart_from_what_workers_take) {
  LatencyCurve curve;
  CHECK_EQ(curve.inline_ns(1), 0);
  curve.observe(1, 40'000);
  CHECK_EQ(curve.inline_ns(1), 40'000);  // better than nothing
  curve.observe_inline(1, 8000);
  for (int i = 0; i < 100; ++i) curve.observe(1, 40'000);
  CHECK_EQ(curve.inline_ns(1), 8000);
  CHECK(curve.mean_ns(1) > 39'000);
  curve.observe_inline(1, 8800);
  CHECK_EQ(curve.inline_ns(1), 8100);
  curve.observe_inline(1, 1'000'000);  // counts as twice the mean
  CHECK_EQ(curve.inline_ns(1), 9112);
  curve.observe(1, 8312);  // a worker that was quicker
  CHECK_EQ(curve.inline_ns(1), 9012);
}

TEST(a_size_that_never_ran_inline_takes_no_more_than_a_larger_one) {
  LatencyCurve curve;
  curve.observe_inline(3, 9000);
  curve.observe(1, 40'000);
  CHECK_EQ(curve.inline_ns(1), 9000);
  CHECK_EQ(curve.inline_ns(2), 9000);
  CHECK_EQ(curve.inline_ns(5), 0);  // of more rows it says nothing
  curve.observe(5, 70'000);
  CHECK_EQ(curve.inline_ns(5), 70'000);
}

TEST(between_sizes_time_is_a_line_and_beyond_them_it_goes_on) {
  LatencyCurve curve;
  CHECK_EQ(curve.mean_ns(5), 0);
  CHECK_EQ(curve.rows_of_mean(1, 64), 64);  // nothing is known, nothing is limited
  curve.observe(8, 8000);
  for (const std::int64_t rows : {1, 8, 1000}) CHECK_EQ(curve.mean_ns(rows), 8000);
  curve.observe(64, 15'000);
  CHECK_EQ(curve.mean_ns(36), 11'500);
  CHECK_EQ(curve.mean_ns(96), 19'000);
  CHECK_EQ(curve.mean_ns(128), 23'000);
  CHECK_EQ(curve.mean_ns(1000), 23'000);  // what is far from all that is known is tried
  curve.observe(32, 20'000);              // an accident: more rows took less
  CHECK_EQ(curve.mean_ns(32), 15'000);
}

TEST(the_tail_is_three_deviations_above_the_mean) {
  LatencyCurve curve;
  curve.observe(1, 1000);
  CHECK_EQ(curve.tail_ns(1), 1375);  // an eighth, until more is known
  for (int i = 0; i < 200; ++i) curve.observe(1, 1000);
  CHECK(curve.tail_ns(1) < 1020);
  for (int i = 0; i < 200; ++i) curve.observe(1, i % 2 == 0 ? 900 : 1100);
  CHECK(curve.tail_ns(1) > 1200 && curve.tail_ns(1) < 1400);
  CHECK(curve.tail_ns(64) == curve.tail_ns(1));  // sizes share the deviation
}

// Whatever was observed: more rows take no less, the tail is no less than the mean, and the rows
// within a budget are exactly those whose tail is.
TEST(any_curve_is_monotone) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    LatencyCurve curve;
    for (std::size_t i = random() % 40 + 1; i > 0; --i) {
      curve.observe(static_cast<std::int64_t>(random() % 300 + 1),
                    static_cast<Nanoseconds>(random() % 1'000'000));
    }
    for (std::int64_t rows = 1; rows < 400; ++rows) {
      CHECK(curve.mean_ns(rows) > 0);
      CHECK(curve.mean_ns(rows + 1) >= curve.mean_ns(rows));
      CHECK(curve.tail_ns(rows + 1) >= curve.tail_ns(rows));
      CHECK(curve.likely_ns(rows) >= curve.mean_ns(rows));
      CHECK(curve.tail_ns(rows) >= curve.likely_ns(rows));
    }
    const auto limit = static_cast<std::int64_t>(random() % 200 + 1);
    const auto budget = static_cast<Nanoseconds>(random() % 2'000'000);
    const std::int64_t fits = curve.rows_in_time(budget, limit);
    CHECK(fits >= 0 && fits <= limit);
    CHECK(fits == 0 || curve.likely_ns(fits) <= budget);
    CHECK(fits == limit || curve.likely_ns(fits + 1) > budget);
  }
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
