// Histogram: exact where it says so, within its error bound elsewhere, and an algebra of snapshots.
#include "core/stats/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "core/stats/relaxed_counter.h"
#include "core/stats/rows_histogram.h"
#include "harness.h"

namespace slipstream {
namespace {

using histogram_detail::bucket_highest;
using histogram_detail::bucket_lowest;
using histogram_detail::bucket_of;
using histogram_detail::kBuckets;
using histogram_detail::kRangeBits;

constexpr Nanoseconds kRange = Nanoseconds{1} << kRangeBits;

// Durations spread evenly over the orders of magnitude, from 1 ns to the end of the range.
std::vector<Nanoseconds> log_uniform(std::size_t n, std::uint32_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(0.0, static_cast<double>(kRangeBits));
  std::vector<Nanoseconds> values(n);
  for (Nanoseconds& value : values) {
    value = std::min(static_cast<Nanoseconds>(std::exp2(exponent(random))), kRange - 1);
  }
  return values;
}

void record_all(Histogram& histogram, const std::vector<Nanoseconds>& values) {
  for (const Nanoseconds value : values) histogram.record(value);
}

bool equal(const HistogramSnapshot& a, const HistogramSnapshot& b) {
  return a.count == b.count && a.sum_ns == b.sum_ns && a.buckets == b.buckets;
}

TEST(buckets_tile_the_range_without_gap_or_overlap) {
  CHECK_EQ(bucket_lowest(0), 0);
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    CHECK_EQ(bucket_of(bucket_lowest(bucket)), bucket);
    CHECK_EQ(bucket_of(bucket_highest(bucket)), bucket);
    CHECK_EQ(bucket_highest(bucket) + 1, bucket_lowest(bucket + 1));
  }
  CHECK_EQ(bucket_highest(kBuckets - 1), kRange - 1);
  CHECK_EQ(bucket_of(kRange), kBuckets - 1);
  CHECK_EQ(bucket_of(kNoDeadline), kBuckets - 1);
  CHECK_EQ(bucket_of(-1), 0U);
  CHECK(kRange > Nanoseconds{3'600'000'000'000});  // an hour fits
}

TEST(counts_up_to_powers_of_two_are_exact) {
  const std::vector<Nanoseconds> values = log_uniform(5'000, 3);
  Histogram histogram;
  record_all(histogram, values);
  std::vector<Nanoseconds> bounds;
  for (unsigned exponent = 0; exponent < kRangeBits; ++exponent) {
    bounds.push_back((Nanoseconds{1} << exponent) - 1);
  }
  const std::vector<std::uint64_t> counts = histogram.snapshot().counts_up_to(bounds);
  CHECK_EQ(counts.size(), bounds.size());
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const auto expected =
        std::ranges::count_if(values, [&](Nanoseconds value) { return value <= bounds[i]; });
    CHECK_EQ(counts[i], static_cast<std::uint64_t>(expected));
  }
}

TEST(rows_are_counted_in_powers_of_two) {
  RowsHistogram histogram;
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 9, 1'000'000, 5'000'000}) {
    histogram.record(rows);
  }
  CHECK_EQ(histogram.count(), 9U);
  CHECK_EQ(histogram.rows(), 6'000'032U);
  CHECK_EQ(histogram.in_bucket(0), 1U);  // 1
  CHECK_EQ(histogram.in_bucket(1), 1U);  // 2
  CHECK_EQ(histogram.in_bucket(2), 2U);  // 3, 4
  CHECK_EQ(histogram.in_bucket(3), 2U);  // 5, 8
  CHECK_EQ(histogram.in_bucket(4), 1U);  // 9
  CHECK_EQ(histogram.in_bucket(RowsHistogram::kBuckets - 1), 2U);
  CHECK_EQ(RowsHistogram::bucket_of(0), 0U);
}

TEST(one_value_is_reported_within_a_64th) {
  for (const Nanoseconds value : log_uniform(2'000, 1)) {
    Histogram histogram;
    histogram.record(value);
    histogram.record(2 * kRange);  // so that clamping to the maximum does not help
    const Nanoseconds reported = histogram.snapshot().percentile_ns(50);
    const double error = std::abs(static_cast<double>(reported - value));
    CHECK(error <= static_cast<double>(value) / 64.0);
  }
}

TEST(count_sum_and_maximum_are_exact) {
  const std::vector<Nanoseconds> values = log_uniform(5'000, 2);
  Histogram histogram;
  record_all(histogram, values);
  std::uint64_t sum = 0;
  for (const Nanoseconds value : values) sum += static_cast<std::uint64_t>(value);
  const HistogramSnapshot snapshot = histogram.snapshot();
  CHECK_EQ(snapshot.count, values.size());
  CHECK_EQ(snapshot.sum_ns, sum);
  CHECK_EQ(snapshot.max_ns, *std::ranges::max_element(values));
  CHECK_EQ(snapshot.mean_ns(), static_cast<double>(sum) / 5'000.0);
}

TEST(percentiles_agree_with_sorting_within_the_bound) {
  constexpr std::size_t kCount = 10'000;
  std::vector<Nanoseconds> values = log_uniform(kCount, 3);
  Histogram histogram;
  record_all(histogram, values);
  std::ranges::sort(values);
  const HistogramSnapshot snapshot = histogram.snapshot();
  for (const std::size_t per_ten_thousand : {1U, 100U, 2500U, 5000U, 9500U, 9900U, 9990U, 9999U}) {
    const Nanoseconds exact = values[per_ten_thousand - 1];  // nearest rank
    const Nanoseconds reported =
        snapshot.percentile_ns(static_cast<double>(per_ten_thousand) / 100.0);
    CHECK(std::abs(static_cast<double>(reported - exact)) <= static_cast<double>(exact) / 64.0);
  }
}

TEST(percentile_edges) {
  Histogram histogram;
  CHECK_EQ(histogram.snapshot().percentile_ns(50), 0);
  CHECK_EQ(histogram.snapshot().mean_ns(), 0.0);
  for (Nanoseconds value = 1; value <= 10; ++value) histogram.record(value);  // exact below 64
  const HistogramSnapshot snapshot = histogram.snapshot();
  CHECK_EQ(snapshot.percentile_ns(0), 1);
  CHECK_EQ(snapshot.percentile_ns(10), 1);
  CHECK_EQ(snapshot.percentile_ns(10.001), 2);
  CHECK_EQ(snapshot.percentile_ns(50), 5);
  CHECK_EQ(snapshot.percentile_ns(100), 10);
  CHECK_EQ(snapshot.percentile_ns(-5), 1);
  CHECK_EQ(snapshot.percentile_ns(1e9), 10);
  CHECK_EQ(snapshot.percentile_ns(std::nan("")), 1);
  histogram.record(1'000'003);
  CHECK_EQ(histogram.snapshot().percentile_ns(100), 1'000'003);  // never above the maximum
}

TEST(values_out_of_range_are_kept_in_count_sum_and_maximum) {
  Histogram histogram;
  histogram.record(-7);
  histogram.record(3 * kRange);
  const HistogramSnapshot snapshot = histogram.snapshot();
  CHECK_EQ(snapshot.count, 2U);
  CHECK_EQ(snapshot.sum_ns, static_cast<std::uint64_t>(3 * kRange));
  CHECK_EQ(snapshot.max_ns, 3 * kRange);
  CHECK_EQ(snapshot.percentile_ns(50), 0);
  CHECK(snapshot.percentile_ns(100) <= kRange);
}

TEST(sum_of_snapshots_is_the_snapshot_of_all) {
  const std::vector<Nanoseconds> first = log_uniform(500, 4);
  const std::vector<Nanoseconds> second = log_uniform(700, 5);
  Histogram a;
  Histogram b;
  Histogram both;
  record_all(a, first);
  record_all(b, second);
  record_all(both, first);
  record_all(both, second);
  const HistogramSnapshot sum = a.snapshot() + b.snapshot();
  CHECK(equal(sum, both.snapshot()));
  CHECK_EQ(sum.max_ns, both.snapshot().max_ns);
}

TEST(difference_of_snapshots_is_the_window_between_them) {
  Histogram whole;
  Histogram window;
  record_all(whole, log_uniform(500, 6));
  const HistogramSnapshot earlier = whole.snapshot();
  CHECK(equal(whole.snapshot() - earlier, HistogramSnapshot{}));
  CHECK_EQ((whole.snapshot() - earlier).max_ns, 0);

  const std::vector<Nanoseconds> small = {5, 70, 1'000'000};  // below the old maximum
  record_all(whole, small);
  record_all(window, small);
  HistogramSnapshot difference = whole.snapshot() - earlier;
  CHECK(equal(difference, window.snapshot()));
  CHECK(difference.max_ns >= 1'000'000);
  CHECK(difference.max_ns <= 1'032'000);
  CHECK_EQ(difference.percentile_ns(50), 70);

  whole.record(kRange);  // a new maximum is exact in the window too
  difference = whole.snapshot() - earlier;
  CHECK_EQ(difference.max_ns, kRange);
  CHECK_EQ(difference.count, 4U);
}

TEST(subtracting_a_newer_snapshot_saturates_at_nothing) {
  Histogram histogram;
  histogram.record(10);
  const HistogramSnapshot older = histogram.snapshot();
  histogram.record(20);
  CHECK(equal(older - histogram.snapshot(), HistogramSnapshot{}));
}

TEST(threads_record_at_once_and_nothing_is_lost) {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint64_t kEach = 20'000;
  Histogram histogram;
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&histogram, thread] {
      for (std::uint64_t i = 1; i <= kEach; ++i) {
        histogram.record(static_cast<Nanoseconds>(i * kThreads + thread));
      }
    });
  }
  std::uint64_t last_count = 0;
  for (int i = 0; i < 20; ++i) {  // snapshots meanwhile only ever grow
    const HistogramSnapshot snapshot = histogram.snapshot();
    CHECK(snapshot.count >= last_count);
    last_count = snapshot.count;
  }
  for (std::thread& thread : threads) thread.join();
  const HistogramSnapshot snapshot = histogram.snapshot();
  constexpr std::uint64_t kTotal = kEach * kThreads;
  CHECK_EQ(snapshot.count, kTotal);
  // The recorded values are all integers from kThreads to kThreads + kTotal - 1.
  CHECK_EQ(snapshot.sum_ns, kTotal * (2 * kThreads + kTotal - 1) / 2);
  CHECK_EQ(snapshot.max_ns, static_cast<Nanoseconds>(kThreads + kTotal - 1));
}

TEST(counters_and_gauges) {
  RelaxedCounter counter(3);
  counter.add();
  counter.add(10);
  CHECK_EQ(counter.value(), 14U);
  counter.raise_to(9);
  CHECK_EQ(counter.value(), 14U);
  counter.raise_to(20);
  CHECK_EQ(counter.value(), 20U);
  counter.set(1);
  CHECK_EQ(counter.value(), 1U);

  RelaxedGauge<std::int64_t> level;
  level.add(5);
  level.add(-7);
  CHECK_EQ(level.value(), -2);
  RelaxedGauge<double> figure(0.5);
  figure.add(0.25);
  CHECK_EQ(figure.value(), 0.75);
  figure.set(3.0);
  CHECK_EQ(figure.value(), 3.0);
}

}  // namespace
}  // namespace slipstream
