// numpy_sum: the sum of a row in the order NumPy's np.sum makes it, to the last bit.
//
// Fewer than 8 numbers are added from left to right. Up to 128 are added in eight interleaved sums,
// which are added in pairs; longer rows are halved until they are that short.
// Threads: any. Failure: none.
#pragma once

#include <cstddef>

namespace slipstream::forest {

inline constexpr std::size_t kNumpySumLanes = 8;
inline constexpr std::size_t kNumpySumBlock = 128;

template <class T>
[[nodiscard]] T numpy_sum(const T* x, std::size_t count) noexcept {
  if (count < kNumpySumLanes) {
    T sum{0};
    for (std::size_t i = 0; i < count; ++i) sum += x[i];
    return sum;
  }
  if (count > kNumpySumBlock) {
    const std::size_t half = count / 2 - (count / 2) % kNumpySumLanes;
    return numpy_sum(x, half) + numpy_sum(x + half, count - half);
  }
  T lanes[kNumpySumLanes];
  for (std::size_t lane = 0; lane < kNumpySumLanes; ++lane) lanes[lane] = x[lane];
  std::size_t i = kNumpySumLanes;
  for (; i + kNumpySumLanes <= count; i += kNumpySumLanes) {
    for (std::size_t lane = 0; lane < kNumpySumLanes; ++lane) lanes[lane] += x[i + lane];
  }
  T sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
          ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (; i < count; ++i) sum += x[i];
  return sum;
}

}  // namespace slipstream::forest
