#include "backends/forest/trees/binner.h"

#include <bit>
#include <cmath>
#include <limits>

#include "backends/forest/trees/value.h"

namespace slipstream::forest {
namespace {

constexpr std::uint32_t kMostHeapThresholds = 255;
constexpr std::uint32_t kLeastHeapDepth = 4;  // one register

// In-order positions of a heap of `depth` levels, filled from sorted keys.
void fill_heap(const float* sorted, std::uint32_t count, std::uint32_t depth, std::size_t node,
               std::uint32_t& next, float* heap) {
  if (node >= std::size_t{1} << depth) return;
  fill_heap(sorted, count, depth, 2 * node, next, heap);
  heap[node] = next < count ? sorted[next] : std::numeric_limits<float>::infinity();
  ++next;
  fill_heap(sorted, count, depth, 2 * node + 1, next, heap);
}

std::size_t offset_of_last_level(const NumericColumn& column) noexcept {
  std::size_t offset = 0;
  std::size_t size = kFanOut;
  for (std::uint32_t level = 1; level < column.levels; ++level, size *= kFanOut) offset += size;
  return offset;
}

}  // namespace

Binner::Binner(const Ensemble& trees, const Planes& planes, const Kernels& kernels)
    : trees_(trees),
      planes_(planes),
      kernels_(kernels),
      as_zero_(trees.features / 16 + 1),
      zero_too_(trees.features / 16 + 1) {
  for (std::size_t f = 0; f < trees.features; ++f) {
    const auto bit = static_cast<std::uint16_t>(1U << (f % 16));
    if (trees.rule_of(f) == Rule::kAsZero) as_zero_[f / 16] |= bit;
    if (trees.rule_of(f) == Rule::kZeroToo) zero_too_[f / 16] |= bit;
  }
  std::vector<std::size_t> heap_at;
  for (const NumericColumn& from : planes.columns) {
    BinColumn column;
    column.keys = planes.keys.data() + from.first_key;
    column.exact = planes.exact.data() + from.first_exact;
    column.levels = from.levels;
    column.count = from.count;
    column.feature = from.feature;
    column.plane_right = from.plane_right != kNoPlane ? from.plane_right : planes.count;
    column.plane_left = from.plane_left != kNoPlane ? from.plane_left : planes.count;
    heap_at.push_back(heaps_.size());
    if (from.count <= kMostHeapThresholds) {
      const auto depth = static_cast<std::uint32_t>(std::bit_width(from.count));
      column.heap_depth = depth < kLeastHeapDepth ? kLeastHeapDepth : depth;
      heaps_.resize(heaps_.size() + (std::size_t{1} << column.heap_depth));
      std::uint32_t next = 0;
      fill_heap(column.keys + offset_of_last_level(from), from.count, column.heap_depth, 1, next,
                heaps_.data() + heap_at.back());
    }
    columns_.push_back(column);
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) columns_[c].heap = heaps_.data() + heap_at[c];
  task_ = {columns_.data(),
           columns_.size(),
           trees.features,
           as_zero_.data(),
           zero_too_.data(),
           trees.zero_flush,
           trees.comparison == Comparison::kLessEqual64,
           {}};
  if (planes.fits_8_bits()) task_.buckets = buckets_.emplace(planes, trees.features).task();
}

// What a row is for the sets of one feature.
struct Binner::Category {
  std::uint32_t feature = kNoPlane;
  std::uint32_t code = 0;   // of a categorical feature
  bool is_missing = false;  // of any other
};

Binner::Category Binner::category_of(const RowsView& x, std::size_t row,
                                     std::uint32_t feature) const noexcept {
  const double value = as_seen(value_at(x, row, feature), planes_.comparison);
  const Rule rule = trees_.rule_of(feature);
  if (is_category(rule)) return {feature, category_code(value, feature, trees_), false};
  return {feature, 0, std::isnan(prepared(value, rule, trees_.zero_flush))};
}

bool Binner::goes_left(const SetPlane& plane, const Category& category) const noexcept {
  if (plane.set < 0) return plane.set == kMissingLeft && category.is_missing;
  const std::size_t start = trees_.set_start[static_cast<std::size_t>(plane.set)];
  return test_bit(trees_.set_bits, start, category.code);
}

template <class T>
void Binner::fill_sets(const RowsView& x, std::size_t rows, T* out, std::size_t row_stride,
                       std::size_t plane_stride) const noexcept {
  if (planes_.sets.empty()) return;
  for (std::size_t row = 0; row < rows; ++row) {
    Category category;
    for (const SetPlane& plane : planes_.sets) {
      if (plane.feature != category.feature) category = category_of(x, row, plane.feature);
      out[row * row_stride + plane.plane * plane_stride] =
          static_cast<T>(goes_left(plane, category) ? 0 : 1);
    }
  }
}

void Binner::rows(const RowsView& x, std::size_t rows, std::uint8_t* out, std::size_t stride,
                  float* memory) const noexcept {
  kernels_.bin_rows_8(task_, x, rows, out, stride, memory);
  fill_sets(x, rows, out, stride, 1);
}

void Binner::rows(const RowsView& x, std::size_t rows, std::uint16_t* out, std::size_t stride,
                  float* memory) const noexcept {
  kernels_.bin_rows_16(task_, x, rows, out, stride, memory);
  fill_sets(x, rows, out, stride, 1);
}

void Binner::rows(const RowsView& x, std::size_t rows, float* out, std::size_t stride,
                  float* memory) const noexcept {
  kernels_.key_rows(task_, x, rows, out, stride, memory);
  fill_sets(x, rows, out, stride, 1);
}

void Binner::block(const RowsView& x, std::size_t rows, std::uint8_t* out,
                   float* memory) const noexcept {
  kernels_.bin_block_8(task_, x, rows, out, memory);
  fill_sets(x, rows, out, 1, kernels_.block_rows_8);
}

void Binner::block(const RowsView& x, std::size_t rows, std::uint16_t* out,
                   float* memory) const noexcept {
  kernels_.bin_block_16(task_, x, rows, out, memory);
  fill_sets(x, rows, out, 1, kernels_.block_rows_16);
}

}  // namespace slipstream::forest
