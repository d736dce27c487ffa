// Binning of single rows on AVX-512 BITALG: the bins of a row without leaving the registers.
// See DenseBins of kernels.h.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/lockstep_avx512.h"

namespace slipstream::forest::avx512 {
namespace {

inline __mmask8 below_8(const double* thresholds, double x) noexcept {
  return _mm512_cmp_pd_mask(_mm512_loadu_pd(thresholds), _mm512_set1_pd(x), _CMP_LT_OQ);
}
inline __mmask8 below_8(const float* thresholds, float x) noexcept {
  return _mm256_cmp_ps_mask(_mm256_loadu_ps(thresholds), _mm256_set1_ps(x), _CMP_LT_OQ);
}

// The bins of 8 columns, with the lowest byte of their first thresholds' places. They are put
// together in a register, since bytes that went through memory would have to reach the cache before
// a wider load could have them.
template <class Value>
__m128i bins_8(const std::uint32_t* starts, const Value* thresholds, const std::uint32_t* features,
               const Value* values, const std::uint32_t* buckets) noexcept {
  const auto bin = [&](std::size_t i) {
    const std::size_t feature = features[i];
    const std::uint32_t start = starts[buckets[feature]];
    const auto below = static_cast<std::uint32_t>(below_8(thresholds + start, values[feature]));
    return static_cast<int>(start + static_cast<std::uint32_t>(std::popcount(below)));
  };
  __m128i bins = _mm_cvtsi32_si128(bin(0));
  bins = _mm_insert_epi8(bins, bin(1), 1);
  bins = _mm_insert_epi8(bins, bin(2), 2);
  bins = _mm_insert_epi8(bins, bin(3), 3);
  bins = _mm_insert_epi8(bins, bin(4), 4);
  bins = _mm_insert_epi8(bins, bin(5), 5);
  bins = _mm_insert_epi8(bins, bin(6), 6);
  return _mm_insert_epi8(bins, bin(7), 7);
}

// What lies beyond the first windows.
template <class Value>
[[gnu::noinline]] void finish_crowded(const BucketTask& task, const Value* thresholds,
                                      const Value* values, const std::uint32_t* buckets,
                                      std::uint8_t* bins) noexcept {
  for (std::size_t i = 0; i < task.dense.crowded_count; ++i) {
    const std::size_t column = task.dense.crowded[2 * i];
    const std::size_t feature = task.dense.feature[column];
    const Value* window = thresholds + task.starts[buckets[feature]];
    for (std::uint32_t more = task.dense.crowded[2 * i + 1]; more != 0; --more) {
      window += kWindow;
      const auto below = static_cast<std::uint32_t>(below_8(window, values[feature]));
      bins[column] = static_cast<std::uint8_t>(bins[column] + std::popcount(below));
    }
  }
}

// Missing values, which have counted as smaller than every threshold.
template <class Value>
[[gnu::noinline]] void finish_missing(const BucketTask& task, const Value* values,
                                      std::uint8_t* out) noexcept {
  for (std::size_t c = 0; c < task.column_count; ++c) {
    const BucketColumn& column = task.columns[c];
    const Value x = values[column.feature];
    if (x != x) out[column.plane_right] = static_cast<std::uint8_t>(column.count);
  }
}

template <std::size_t Registers, class Value>
void bin_dense_in(const BucketTask& task, const Value* thresholds, const Value* values,
                  const std::uint32_t* buckets, std::uint8_t* out) noexcept {
  const DenseBins& dense = task.dense;
  alignas(64) std::uint8_t bins[64 * Registers];
  const std::uint32_t* feature = dense.feature;
  const std::uint32_t* const end = feature + dense.columns;
#pragma GCC unroll 4
  for (std::size_t r = 0; r < Registers; ++r) {
    __m512i sixty_four = _mm512_setzero_si512();
    const std::uint32_t* const last = end - feature < 64 ? end : feature + 64;
    for (unsigned eighth = 1; feature != last; feature += 8, eighth <<= 1) {
      sixty_four =
          _mm512_mask_broadcastq_epi64(sixty_four, static_cast<__mmask8>(eighth),
                                       bins_8(task.starts, thresholds, feature, values, buckets));
    }
    _mm512_store_si512(
        bins + 64 * r,
        _mm512_sub_epi8(sixty_four, _mm512_load_si512(dense.first_threshold + 64 * r)));
  }
  if (dense.crowded_count != 0) [[unlikely]] {
    finish_crowded(task, thresholds, values, buckets, bins);
  }
  const RowBins<Registers> of_columns(bins);
  for (std::size_t plane = 0; plane < dense.planes; plane += 64) {
    _mm512_store_si512(out + plane, of_columns[_mm512_load_si512(dense.plane_column + plane)]);
  }
}

template <class Value>
void bin_dense(const BucketTask& task, const Value* thresholds, const Value* values,
               const std::uint32_t* buckets, bool has_nan, std::uint8_t* out) noexcept {
  if (task.dense.columns <= 64) {
    bin_dense_in<1>(task, thresholds, values, buckets, out);
  } else if (task.dense.columns <= 128) {
    bin_dense_in<2>(task, thresholds, values, buckets, out);
  } else {
    bin_dense_in<4>(task, thresholds, values, buckets, out);
  }
  if (has_nan) [[unlikely]]
    finish_missing(task, values, out);
}

}  // namespace
}  // namespace slipstream::forest::avx512
