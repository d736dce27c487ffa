// Buckets: where in a feature's thresholds a value belongs, found by arithmetic instead of a
// search.
//
// The range of the thresholds is cut into equal buckets, each of which knows how many thresholds
// come before it; those within it are compared with the value, kWindow at a time. A value lies
// above every threshold of the buckets before its own, because finding the bucket (subtract,
// multiply, clamp) never changes the order of two values, however it rounds. Models that decide in
// float64 keep their thresholds in float64 here, so nothing has to be settled afterwards.
//
// Where every plane has a place in four registers of bytes, AVX-512 puts the bins of all columns
// side by side, and a permutation gives each plane the bin of its column (DenseBins).
//
// It is how single rows are binned to 8 bits; blocks of rows search in registers (bin_avx512.h).
// Threads: any, once built. Ownership: keeps nothing of the planes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/forest/trees/aligned.h"
#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/planes.h"

namespace slipstream::forest {

class Buckets {
 public:
  // `planes` fit 8 bits. Throws std::bad_alloc.
  Buckets(const Planes& planes, std::size_t features);

  // Refers to this object; without columns where thresholds crowd in few of the buckets.
  [[nodiscard]] BucketTask task() const noexcept;

 private:
  // What DenseBins refers to.
  struct Dense {
    Dense(const Planes& planes, const std::vector<BucketColumn>& columns);
    [[nodiscard]] DenseBins task() const noexcept;

    std::size_t planes;
    std::vector<std::uint32_t> feature;
    AlignedVector<std::uint8_t> first_threshold;
    AlignedVector<std::uint8_t> plane_column;
    std::vector<std::uint16_t> crowded;
  };

  void add(const Planes& planes, const NumericColumn& from);

  std::vector<BucketColumn> columns_;
  std::uint32_t most_windows_ = 0;
  std::vector<double> doubles_;  // thresholds: one of these two is in use
  std::vector<float> floats_;
  std::vector<std::uint32_t> starts_;
  AlignedVector<float> low_;  // of features, padded
  AlignedVector<float> scale_;
  AlignedVector<float> last_;
  AlignedVector<std::uint32_t> first_bucket_;
  std::optional<Dense> dense_;
};

}  // namespace slipstream::forest
