// Whatever the thresholds are like, a row is binned as the search in their tree bins it.
#include <cmath>
#include <limits>
#include <vector>

#include "backends/forest/trees/buckets.h"
#include "backends/forest/trees/kernels.h"
#include "forest/random_trees.h"
#include "harness.h"

namespace slipstream::forest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One feature with these thresholds, decided in float64.
Planes planes_of(const std::vector<double>& thresholds) {
  Planes planes;
  planes.exact = thresholds;
  planes.count = 1;
  planes.most_bins = static_cast<std::uint32_t>(thresholds.size());
  planes.columns.push_back(
      {.count = static_cast<std::uint32_t>(thresholds.size()), .plane_right = 0});
  return planes;
}

std::vector<double> evenly(std::size_t count) {
  std::vector<double> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(static_cast<double>(i) / 7.0);
  return made;
}

// Whether every value lies in a bucket whose window holds all thresholds that need comparing.
void check_windows(const std::vector<double>& thresholds) {
  const Planes planes = planes_of(thresholds);
  const Buckets buckets(planes, 1);
  const BucketTask task = buckets.task();
  REQUIRE(task.columns != nullptr);
  const BucketColumn& column = task.columns[0];
  std::vector<double> values{0.0, -0.0, kInfinity, -kInfinity, 1e300, -1e300, 5e-324};
  for (const double threshold : thresholds) {
    values.push_back(threshold);
    values.push_back(std::nextafter(threshold, kInfinity));
    values.push_back(std::nextafter(threshold, -kInfinity));
  }
  for (const double value : values) {
    const std::uint32_t bucket =
        bucket_of(static_cast<float>(value), task.low[0], task.scale[0], task.last[0]);
    const std::uint32_t start = task.starts[task.first_bucket[0] + bucket];
    std::uint32_t bin = start - column.first_threshold;
    const double* window = task.doubles + start;
    for (std::uint32_t i = 0; i < kWindow * (1U + column.more_windows); ++i) {
      bin += static_cast<std::uint32_t>(window[i] < value);
    }
    std::uint32_t expected = 0;
    for (const double threshold : thresholds)
      expected += static_cast<std::uint32_t>(threshold < value);
    CHECK_EQ(bin, expected);
  }
}

TEST(even_thresholds) {
  for (const std::size_t count : {1U, 2U, 7U, 8U, 9U, 64U, 255U}) check_windows(evenly(count));
}

TEST(a_few_thresholds_far_away_do_not_matter) {
  std::vector<double> thresholds = evenly(200);
  thresholds.insert(thresholds.begin(), {-kInfinity, -1e300, -1e20});
  thresholds.insert(thresholds.end(), {1e20, 1.7976931348623157e308, kInfinity});
  check_windows(thresholds);
  const Planes planes = planes_of(thresholds);
  CHECK_EQ(Buckets(planes, 1).task().columns[0].more_windows, 0);
}

TEST(thresholds_without_a_range) {
  check_windows({3.5});
  check_windows({-kInfinity, kInfinity});
  check_windows({1.0, std::nextafter(1.0, 2.0)});
  check_windows({-3.4e38, 3.4e38});
}

TEST(crowded_thresholds_are_left_to_the_search) {
  std::vector<double> thresholds;
  for (int i = 0; i < 250; ++i) thresholds.push_back(std::ldexp(1.0, i - 125));
  const Planes planes = planes_of(thresholds);
  CHECK(Buckets(planes, 1).task().columns == nullptr);
}

}  // namespace
}  // namespace slipstream::forest
