// Histogram: counts of nanoseconds in buckets whose width is under 1% of what they hold.
//
// Below 256 every value has its bucket; above, each power of two is cut into 128. So a percentile
// is off by less than 0.4%, whatever its size, and nothing is ever left out at the top.
// Threads: one. Ownership: a value. Failure: none.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace slipstream::load {

class Histogram {
 public:
  Histogram();

  void add(std::uint64_t ns) noexcept;

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] double mean() const noexcept;
  // The value that `share` of all values do not exceed; 0 when there are none.
  [[nodiscard]] double percentile(double share) const noexcept;
  // Every bucket that is not empty: the value it ends before, and its count.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> buckets() const;

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t min_ = UINT64_MAX;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace slipstream::load
