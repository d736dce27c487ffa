// Values of single rows and their buckets on AVX-512. See buckets.h.
#pragma once

#include <immintrin.h>

#include <limits>

#include "backends/forest/trees/bin_avx512.h"
#include "backends/forest/trees/kernels.h"

namespace slipstream::forest::avx512 {
namespace {

// bucket_of() of kernels.h for 16 values, numbered among all: written so that NaN becomes 0.
inline void store_buckets(const BucketTask& task, std::size_t feature, __m512 x,
                          std::uint32_t* buckets) noexcept {
  const __m512 at = _mm512_mul_ps(_mm512_sub_ps(x, _mm512_load_ps(task.low + feature)),
                                  _mm512_load_ps(task.scale + feature));
  const __m512 from_zero = _mm512_max_ps(at, _mm512_setzero_ps());
  const __m512 bucket = _mm512_min_ps(from_zero, _mm512_load_ps(task.last + feature));
  _mm512_store_si512(buckets + feature,
                     _mm512_add_epi32(_mm512_cvttps_epi32(bucket),
                                      _mm512_load_si512(task.first_bucket + feature)));
}

// The values of a row after their rules, and their buckets. Returns whether one is missing.
inline bool make_values(const BinTask& task, const RowsView& x, std::size_t row, float* values,
                        std::uint32_t* buckets) noexcept {
  unsigned nan = 0;
  for (std::size_t f = 0; f < task.features; f += 16) {
    const __m512 keys = keys_at(task, x, row, f).keys;
    nan |= _mm512_cmp_ps_mask(keys, keys, _CMP_UNORD_Q);
    _mm512_store_ps(values + f, keys);
    store_buckets(task.buckets, f, keys, buckets);
  }
  return nan != 0;
}

// The rules of value.h for 8 doubles; `as_zero` and `zero_too` name the lanes whose rule that is.
inline __m512d prepared_8(const BinTask& task, __m512d x, __mmask8 as_zero,
                          __mmask8 zero_too) noexcept {
  const __mmask8 near_zero = _mm512_cmp_pd_mask(
      _mm512_abs_pd(x), _mm512_set1_pd(static_cast<double>(kZeroKey)), _CMP_LE_OQ);
  if (task.zero_flush) x = _mm512_mask_mov_pd(x, near_zero, _mm512_setzero_pd());
  x = _mm512_mask_mov_pd(x, static_cast<__mmask8>(near_zero & zero_too),
                         _mm512_set1_pd(std::numeric_limits<double>::quiet_NaN()));
  const __mmask8 nan = _mm512_mask_cmp_pd_mask(as_zero, x, x, _CMP_UNORD_Q);
  return _mm512_mask_mov_pd(x, nan, _mm512_setzero_pd());
}

inline bool make_values(const BinTask& task, const RowsView& x, std::size_t row, double* values,
                        std::uint32_t* buckets) noexcept {
  const __m512d near_zero = _mm512_set1_pd(static_cast<double>(kZeroKey));
  unsigned nan = 0;
  for (std::size_t f = 0; f < task.features; f += 16) {
    const __mmask16 lanes = first_lanes(task.features - f);
    __m512d low;
    __m512d high;
    load_16(x, row, f, lanes, low, high);
    // No rule says anything of numbers that are not near zero, which most rows are made of: then
    // nothing waits for the rules.
    const __mmask16 plain = join(_mm512_cmp_pd_mask(_mm512_abs_pd(low), near_zero, _CMP_GT_OQ),
                                 _mm512_cmp_pd_mask(_mm512_abs_pd(high), near_zero, _CMP_GT_OQ));
    if ((plain | static_cast<__mmask16>(~lanes)) != 0xFFFF) {
      const unsigned as_zero = task.as_zero[f / 16];
      const unsigned zero_too = task.zero_too[f / 16];
      low = prepared_8(task, low, static_cast<__mmask8>(as_zero), static_cast<__mmask8>(zero_too));
      high = prepared_8(task, high, static_cast<__mmask8>(as_zero >> 8),
                        static_cast<__mmask8>(zero_too >> 8));
      nan |= _mm512_cmp_pd_mask(low, low, _CMP_UNORD_Q);
      nan |= _mm512_cmp_pd_mask(high, high, _CMP_UNORD_Q);
    }
    _mm512_store_pd(values + f, low);
    _mm512_store_pd(values + f + 8, high);
    store_buckets(task.buckets, f, join(_mm512_cvtpd_ps(low), _mm512_cvtpd_ps(high)), buckets);
  }
  return nan != 0;
}

}  // namespace
}  // namespace slipstream::forest::avx512
