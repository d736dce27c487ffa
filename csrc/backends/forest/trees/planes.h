// Planes: the columns that the fast algorithms compare, made of the features of an ensemble.
//
// A plane is a feature under one policy for missing values, so that a node is nothing but
// "plane > threshold ?" and no algorithm ever asks whether a value is missing: where missing goes
// left it is the smallest value of its plane, where it goes right the largest. A feature whose
// nodes disagree has two planes. A category set is a plane of its own: 0 where its codes go left,
// else 1.
//
// A plane has two forms. Bins: the number of thresholds of the feature below the value, 8 or 16
// bits, lossless since nothing but thresholds is ever compared with it. Keys: the float32 of
// value.h, where the library itself decides in float32, which spares large forests the search.
//
// Threads: any, once built. Ownership: keeps nothing of the ensemble but spans into its memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/forest/trees/aligned.h"
#include "backends/forest/trees/ensemble.h"

namespace slipstream::forest {

inline constexpr std::uint32_t kNoPlane = ~std::uint32_t{0};
inline constexpr std::size_t kFanOut = 16;  // thresholds in one node of the search tree

// A numeric feature that nodes look at, and the planes made of it.
struct NumericColumn {
  std::uint32_t feature = 0;
  Rule rule = Rule::kDirected;
  std::uint32_t count = 0;               // thresholds
  std::uint32_t plane_right = kNoPlane;  // missing is larger than every threshold
  std::uint32_t plane_left = kNoPlane;   // missing is smaller than every threshold
  // A search tree in `Planes::keys`: levels from the top, each level 16 times the one above; the
  // last one holds the thresholds themselves, padded with infinity. Always at least one pad.
  std::uint32_t levels = 1;
  std::uint32_t first_key = 0;
  std::uint32_t first_exact = 0;  // into `Planes::exact`
};

// A plane of zeros (left) and ones that no ordering describes.
inline constexpr std::int64_t kMissingLeft = -1;  // `x < -inf`: only missing values can go left
inline constexpr std::int64_t kNothingLeft = -2;
struct SetPlane {
  std::uint32_t feature = 0;
  std::int64_t set = 0;  // a category set of the ensemble, or one of the above
  std::uint32_t plane = 0;
};

struct NodeTest {
  std::uint32_t plane = 0;
  std::uint32_t bin = 0;  // right if the plane's bin is larger
  float key = 0.0F;       // right if the plane's key is not <= this
};

struct Planes {
  std::vector<NumericColumn> columns;  // by feature
  std::vector<SetPlane> sets;          // by feature
  std::uint32_t count = 0;             // planes
  std::uint32_t most_bins = 0;         // the largest `NumericColumn::count`
  AlignedVector<float> keys;
  std::vector<double> exact;    // thresholds, ascending; equal keys may differ here
  std::vector<NodeTest> tests;  // of every node of the ensemble

  Comparison comparison = Comparison::kLessEqual64;
  bool zero_flush = false;

  [[nodiscard]] bool fits_8_bits() const noexcept { return most_bins <= 255; }
  [[nodiscard]] bool fits_16_bits() const noexcept { return most_bins <= 65'535; }
  // Whether a key tells all about a value, so that nodes can compare keys.
  [[nodiscard]] bool keys_decide() const noexcept { return comparison != Comparison::kLessEqual64; }
};

// Throws std::bad_alloc.
[[nodiscard]] Planes make_planes(const Ensemble& trees);

// The float32 that stands for a threshold: x goes left if key(x) <= this (see value.h). `Less32`
// becomes `<=` of the next smaller float32.
[[nodiscard]] float threshold_key(double threshold, Comparison comparison) noexcept;

}  // namespace slipstream::forest
