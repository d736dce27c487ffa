#include "core/batch/latency_model.h"

#include <algorithm>
#include <bit>

namespace slipstream {
namespace {

constexpr std::int64_t kMeanShift = 3;       // each observation counts 1/8
constexpr std::int64_t kDeviationShift = 4;  // and 1/16 for the deviation

// Spreads the shape's hash; |1 keeps 0 for "free".
std::uint64_t spread(std::uint64_t shape_key) noexcept {
  return (shape_key * 0x9e37'79b9'7f4a'7c15ULL) | 1U;
}

struct Point {
  std::int64_t scaled_rows = 0;
  Nanoseconds time_ns = 0;
};

// The line through two points, of which the second is no lower; flat when they are one.
Nanoseconds between(const Point& a, const Point& b, std::int64_t scaled_rows) noexcept {
  const std::int64_t span = b.scaled_rows - a.scaled_rows;
  if (span <= 0) return b.time_ns;
  const double slope = static_cast<double>(b.time_ns - a.time_ns) / static_cast<double>(span);
  return a.time_ns +
         static_cast<Nanoseconds>(slope * static_cast<double>(scaled_rows - a.scaled_rows));
}

// value / 2^shift, towards zero.
std::int64_t part(std::int64_t value, std::int64_t shift) noexcept {
  return value / (std::int64_t{1} << shift);
}

// What an execution is away from the mean. What is far off counts as far as the mean, so that one
// preempted execution moves little and a model that did become slower is followed within a few
// dozen.
Nanoseconds error_of(Nanoseconds execute_ns, Nanoseconds mean) noexcept {
  return std::min(execute_ns - mean, mean);
}

// Never fast by accident, so that the mean was wrong; or there was none.
bool is_news(Nanoseconds execute_ns, Nanoseconds mean) noexcept {
  return execute_ns < mean / 2 || mean == 0;
}

// The mean after one more execution.
Nanoseconds moved(Nanoseconds mean, Nanoseconds execute_ns) noexcept {
  if (is_news(execute_ns, mean)) return execute_ns;
  return mean + part(error_of(execute_ns, mean), kMeanShift);
}

// The largest number up to `limit` that fits, 0 if none does; what fits is a prefix.
template <class Fits>
std::int64_t most_rows(std::int64_t limit, Fits fits) noexcept {
  if (fits(limit)) return limit;
  std::int64_t most = 0;
  std::int64_t too_many = limit;
  while (too_many - most > 1) {
    const std::int64_t middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return most;
}

}  // namespace

std::size_t LatencyCurve::bucket_of(std::int64_t rows) noexcept {
  const auto above = static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 1) - 1);
  return std::min(static_cast<std::size_t>(std::bit_width(above)), kBuckets - 1);
}

void LatencyCurve::observe(std::int64_t rows, Nanoseconds execute_ns) noexcept {
  Bucket& bucket = buckets_[bucket_of(rows)];
  const Nanoseconds mean = bucket.mean_ns.value();
  execute_ns = std::max<Nanoseconds>(execute_ns, 1);
  const Nanoseconds inline_mean = bucket.inline_ns.value();
  if (execute_ns < inline_mean) bucket.inline_ns.set(moved(inline_mean, execute_ns));
  if (is_news(execute_ns, mean)) {
    bucket.scaled_rows.set(rows * kRowsScale);
    bucket.mean_ns.set(execute_ns);
    return;
  }
  const Nanoseconds error = error_of(execute_ns, mean);
  const std::int64_t scaled_rows = bucket.scaled_rows.value();
  const std::int64_t deviation = scaled_deviation_.value();
  const std::int64_t scaled_error = (error < 0 ? -error : error) * kDeviationScale / mean;
  bucket.scaled_rows.set(scaled_rows + part(rows * kRowsScale - scaled_rows, kMeanShift));
  bucket.mean_ns.set(moved(mean, execute_ns));
  scaled_deviation_.set(deviation + part(scaled_error - deviation, kDeviationShift));
}

void LatencyCurve::observe_inline(std::int64_t rows, Nanoseconds execute_ns) noexcept {
  RelaxedGauge<std::int64_t>& learned = buckets_[bucket_of(rows)].inline_ns;
  const Nanoseconds mean = moved(learned.value(), std::max<Nanoseconds>(execute_ns, 1));
  observe(rows, execute_ns);
  learned.set(mean);
}

Nanoseconds LatencyCurve::inline_ns(std::int64_t rows) const noexcept {
  const std::size_t first = bucket_of(rows);
  for (std::size_t i = first; i < kBuckets; ++i) {
    if (const Nanoseconds mean = buckets_[i].inline_ns.value(); mean != 0) return mean;
  }
  for (std::size_t i = first; i < kBuckets; ++i) {
    if (const Nanoseconds mean = buckets_[i].mean_ns.value(); mean != 0) return mean;
  }
  return 0;
}

Nanoseconds LatencyCurve::mean_ns(std::int64_t rows) const noexcept {
  const std::int64_t wanted = std::max<std::int64_t>(rows, 1) * kRowsScale;
  // From the largest size down: the point above `wanted`, and the largest of all.
  Point above;
  Point largest;
  for (std::size_t i = kBuckets; i-- > 0;) {
    const Nanoseconds mean = buckets_[i].mean_ns.value();
    if (mean == 0) continue;
    Point here{.scaled_rows = buckets_[i].scaled_rows.value(), .time_ns = mean};
    if (largest.time_ns == 0) {
      largest = here;
    } else {
      here.time_ns = std::min(here.time_ns, above.time_ns);
    }
    const bool is_between = here.scaled_rows <= wanted && wanted <= above.scaled_rows;
    if (is_between) return between(here, above, wanted);
    above = here;
  }
  if (largest.time_ns == 0 || wanted <= above.scaled_rows) return above.time_ns;
  // More rows than were ever seen; `above` is the smallest size now.
  return between(above, largest, std::min(wanted, 2 * largest.scaled_rows));
}

std::int64_t LatencyCurve::rows_of_mean(Nanoseconds budget_ns, std::int64_t limit) const noexcept {
  return most_rows(limit, [&](std::int64_t rows) { return mean_ns(rows) <= budget_ns; });
}

std::int64_t LatencyCurve::rows_in_time(Nanoseconds budget_ns, std::int64_t limit) const noexcept {
  return most_rows(limit, [&](std::int64_t rows) { return likely_ns(rows) <= budget_ns; });
}

const LatencyModel::Shape* LatencyModel::find(std::uint64_t key) const noexcept {
  for (std::size_t probe = 0; probe < kShapes; ++probe) {
    const Shape& shape = shapes_[((key >> 32) + probe) % kShapes];
    const std::uint64_t found = shape.key.load(std::memory_order_acquire);  // pairs with learning()
    if (found == key || found == 0) return &shape;
  }
  return nullptr;
}

const LatencyCurve& LatencyModel::curve(std::uint64_t shape_key) const noexcept {
  const std::uint64_t key = spread(shape_key);
  const Shape* const shape = find(key);
  const bool is_known = shape != nullptr &&
                        shape->key.load(std::memory_order_acquire) == key;  // pairs with learning()
  return is_known ? shape->curve : unknown_;
}

LatencyCurve* LatencyModel::learning(std::uint64_t shape_key) noexcept {
  const std::uint64_t key = spread(shape_key);
  auto* shape = const_cast<Shape*>(find(key));
  if (shape == nullptr) return nullptr;
  if (shape->key.load(std::memory_order_acquire) != key) {  // pairs with the store below
    const std::scoped_lock lock(insert_mutex_);
    shape = const_cast<Shape*>(find(key));  // another thread may have taken the free place
    if (shape == nullptr) return nullptr;
    shape->key.store(key, std::memory_order_release);  // pairs with find()
  }
  return &shape->curve;
}

void LatencyModel::observe(std::uint64_t shape_key, std::int64_t rows,
                           Nanoseconds execute_ns) noexcept {
  if (LatencyCurve* const curve = learning(shape_key)) curve->observe(rows, execute_ns);
}

void LatencyModel::observe_inline(std::uint64_t shape_key, std::int64_t rows,
                                  Nanoseconds execute_ns) noexcept {
  if (LatencyCurve* const curve = learning(shape_key)) curve->observe_inline(rows, execute_ns);
}

}  // namespace slipstream
