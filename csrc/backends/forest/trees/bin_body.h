// The binning kernels, for the instruction set that the including file has chosen: see
// kernels_body.h, which includes this.
#include <cmath>
#include <limits>

#include "backends/forest/trees/kernels.h"

namespace slipstream::forest::SLIPSTREAM_SIMD {
namespace {

constexpr std::size_t kVectors = 8;  // of rows in a block; in flight in a sweep
constexpr float kZero = 1e-35F;

// ---- binning, row by row ------------------------------------------------------------------------

double number_at(const RowsView& x, std::size_t row, std::size_t feature) noexcept {
  const std::size_t at = row * x.stride + feature;
  return x.is_float32 ? static_cast<double>(static_cast<const float*>(x.data)[at])
                      : static_cast<const double*>(x.data)[at];
}

bool bit(const std::uint16_t* bits, std::size_t at) noexcept {
  return ((bits[at / 16] >> (at % 16)) & 1U) != 0;
}

// As prepared() of value.h.
double prepare(const BinTask& task, double x, std::size_t feature) noexcept {
  if (x != x) return bit(task.as_zero, feature) ? 0.0 : x;
  if (std::fabs(x) > static_cast<double>(kZero)) return x;
  if (bit(task.zero_too, feature)) return std::numeric_limits<double>::quiet_NaN();
  return task.zero_flush ? 0.0 : x;
}

#if !SLIPSTREAM_SIMD_KEYS
float key_of(double x, bool down) noexcept {
  const auto nearest = static_cast<float>(x);
  if (!down || !(static_cast<double>(nearest) > x)) return nearest;
  return std::nextafterf(nearest, -std::numeric_limits<float>::infinity());
}

// keys[f] of one row.
RowTraits make_keys(const BinTask& task, const RowsView& x, std::size_t row, float* keys) noexcept {
  RowTraits traits;
  for (std::size_t f = 0; f < task.features; ++f) {
    const double given = number_at(x, row, f);
    const double seen = task.round_down ? given : static_cast<double>(static_cast<float>(given));
    const double value = prepare(task, seen, f);
    keys[f] = key_of(value, task.round_down);
    traits.has_nan |= value != value;
    traits.is_rounded |= static_cast<double>(keys[f]) < value;
  }
  return traits;
}
#endif

// Equal keys of a value that is no float32: the originals decide (see value.h).
[[gnu::noinline]] std::size_t settle_one(const BinTask& task, const BinColumn& column, float key,
                                         const RowsView& x, std::size_t row, const float* sorted,
                                         std::size_t at) noexcept {
  const double value = prepare(task, number_at(x, row, column.feature), column.feature);
  while (at < column.count && sorted[at] == key && column.exact[at] < value) ++at;
  return at;
}

struct Found {
  std::size_t below;    // thresholds below the key
  std::size_t block;    // of 16 thresholds, in which the next one stands
  const float* sorted;  // all thresholds
};

// The thresholds of the column that are below a key.
[[gnu::always_inline]] inline Found search(const BinColumn& column, float key) noexcept {
  const float* level = column.keys;
  std::size_t block = 0;
  std::size_t at = count_below_16(level, key);
  if (column.levels > 1) {
    level += 16;
    block = at * 16;
    at = block + count_below_16(level + block, key);
    std::size_t size = 256;
    for (std::uint32_t l = 2; l < column.levels; ++l) [[unlikely]] {
      level += size;
      size *= 16;
      block = at * 16;
      at = block + count_below_16(level + block, key);
    }
  }
  return {at, block, level};
}

// How many thresholds of a column are below its value in that row.
inline std::size_t settled_bin(const BinTask& task, const BinColumn& column, float key,
                               const RowsView& x, std::size_t row) noexcept {
  const Found found = search(column, key);
  if (!task.round_down || found.sorted[found.below] != key) return found.below;
  return settle_one(task, column, key, x, row, found.sorted, found.below);
}

// Any row, whatever is in it.
template <class Lane>
[[gnu::noinline]] void bin_row_carefully(const BinTask& task, const RowsView& x, std::size_t row,
                                         Lane* out, const float* keys) noexcept {
  for (std::size_t c = 0; c < task.column_count; ++c) {
    const BinColumn& column = task.columns[c];
    const float key = keys[column.feature];
    const std::size_t bin = settled_bin(task, column, key, x, row);
    // NaN is below nothing, so its bin is 0: the left-going plane has it right already.
    out[column.plane_left] = static_cast<Lane>(bin);
    out[column.plane_right] = static_cast<Lane>(key != key ? column.count : bin);
  }
}

// A row without NaN. False if a key equals a threshold, which kRounded says must not be: then the
// bins may be wrong.
template <class Lane, bool kRounded>
bool bin_row(const BinTask& task, Lane* out, const float* keys) noexcept {
  std::uint32_t equal = 0;
  for (std::size_t c = 0; c < task.column_count; ++c) {
    const BinColumn& column = task.columns[c];
    const float key = keys[column.feature];
    const Found found = search(column, key);
    if constexpr (kRounded) equal |= any_equal_16(found.sorted + found.block, key);
    out[column.plane_left] = static_cast<Lane>(found.below);
    out[column.plane_right] = static_cast<Lane>(found.below);
  }
  return equal == 0;
}

// ---- binning by bucket --------------------------------------------------------------------------

#if !SLIPSTREAM_SIMD_KEYS
// The values of a row after their rules, as the type that decides, and their buckets, numbered
// among all. Returns whether one is missing.
template <class Value>
bool make_values(const BinTask& task, const RowsView& x, std::size_t row, Value* values,
                 std::uint32_t* buckets) noexcept {
  const BucketTask& by = task.buckets;
  bool has_nan = false;
  for (std::size_t f = 0; f < task.features; ++f) {
    const auto seen = static_cast<double>(static_cast<Value>(number_at(x, row, f)));
    values[f] = static_cast<Value>(prepare(task, seen, f));
    buckets[f] = by.first_bucket[f] +
                 bucket_of(static_cast<float>(values[f]), by.low[f], by.scale[f], by.last[f]);
    has_nan |= values[f] != values[f];
  }
  return has_nan;
}
#endif

template <bool kHasNan, class Value>
void bin_values(const BucketTask& task, const Value* all_thresholds, const Value* values,
                const std::uint32_t* buckets, std::uint8_t* out) noexcept {
  // In registers: bytes that are written could be anything's, for all the compiler knows.
  const BucketColumn* column = task.columns;
  const BucketColumn* const end = column + task.column_count;
  const std::uint32_t* const starts = task.starts;
  for (; column != end; ++column) {
    const Value x = values[column->feature];
    const std::uint32_t start = starts[buckets[column->feature]];
    const Value* window = all_thresholds + start;
    std::uint32_t bin = start - column->first_threshold + count_below_8(window, x);
    for (std::uint32_t w = column->more_windows; w != 0; --w) [[unlikely]] {
      window += kWindow;
      bin += count_below_8(window, x);
    }
    const std::uint32_t left = column->plane_left;
    const std::uint32_t right = column->plane_right;
    std::uint32_t bin_right = bin;
    if constexpr (kHasNan) bin_right = x != x ? column->count : bin;
    out[left] = static_cast<std::uint8_t>(bin);
    out[right] = static_cast<std::uint8_t>(bin_right);
  }
}

template <class Value>
void bin_row_by_bucket(const BinTask& task, const Value* thresholds, const RowsView& x,
                       std::size_t row, std::uint8_t* out, float* scratch) noexcept {
  const std::size_t padded = (task.features + 15) & ~std::size_t{15};
  auto* values = reinterpret_cast<Value*>(scratch);
  auto* buckets = reinterpret_cast<std::uint32_t*>(scratch + 2 * padded);
  const bool has_nan = make_values(task, x, row, values, buckets);
#if SLIPSTREAM_SIMD_DENSE
  if (task.buckets.dense.feature != nullptr) {
    return bin_dense(task.buckets, thresholds, values, buckets, has_nan, out);
  }
#endif
  if (has_nan) {
    bin_values<true>(task.buckets, thresholds, values, buckets, out);
  } else {
    bin_values<false>(task.buckets, thresholds, values, buckets, out);
  }
}

// ---- binning by search --------------------------------------------------------------------------

template <class Lane>
void bin_rows(const BinTask& task, const RowsView& x, std::size_t rows, Lane* out,
              std::size_t out_stride, float* keys) noexcept {
  for (std::size_t row = 0; row < rows; ++row, out += out_stride) {
    const RowTraits traits = make_keys(task, x, row, keys);
    const bool is_done =
        !traits.has_nan && (traits.is_rounded ? bin_row<Lane, true>(task, out, keys)
                                              : bin_row<Lane, false>(task, out, keys));
    if (!is_done) bin_row_carefully(task, x, row, out, keys);
  }
}

void bin_rows_8(const BinTask& task, const RowsView& x, std::size_t rows, std::uint8_t* out,
                std::size_t out_stride, float* scratch) noexcept {
  if (task.buckets.columns == nullptr) {
    return bin_rows<std::uint8_t>(task, x, rows, out, out_stride, scratch);
  }
  for (std::size_t row = 0; row < rows; ++row, out += out_stride) {
    if (task.round_down) {
      bin_row_by_bucket(task, task.buckets.doubles, x, row, out, scratch);
    } else {
      bin_row_by_bucket(task, task.buckets.floats, x, row, out, scratch);
    }
  }
}

void key_rows(const BinTask& task, const RowsView& x, std::size_t rows, float* out,
              std::size_t out_stride, float* keys) noexcept {
  for (std::size_t row = 0; row < rows; ++row, out += out_stride) {
    static_cast<void>(make_keys(task, x, row, keys));
    for (std::size_t c = 0; c < task.column_count; ++c) {
      const BinColumn& column = task.columns[c];
      const float key = keys[column.feature];
      out[column.plane_right] = key;  // NaN is <= nothing
      out[column.plane_left] = key != key ? -std::numeric_limits<float>::infinity() : key;
    }
  }
}

#if !SLIPSTREAM_SIMD_BLOCKS
template <class Lane>
void bin_block(const BinTask& task, const RowsView& x, std::size_t rows, Lane* out,
               float* scratch) noexcept {
  constexpr std::size_t kBlock = Vector<Lane>::kLanes * kVectors;
  for (std::size_t row = 0; row < rows; ++row) {
    static_cast<void>(make_keys(task, x, row, scratch));
    for (std::size_t c = 0; c < task.column_count; ++c) {
      const BinColumn& column = task.columns[c];
      const float key = scratch[column.feature];
      const std::size_t bin = settled_bin(task, column, key, x, row);
      out[column.plane_left * kBlock + row] = static_cast<Lane>(bin);
      out[column.plane_right * kBlock + row] = static_cast<Lane>(key != key ? column.count : bin);
    }
  }
}
#endif

}  // namespace
}  // namespace slipstream::forest::SLIPSTREAM_SIMD
