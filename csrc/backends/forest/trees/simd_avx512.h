// The vector operations of kernels_body.h on AVX-512 (F, BW, DQ, VL, VBMI: Ice Lake, Zen 4 and
// later).
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace slipstream::forest::avx512 {

// Of 16 ascending floats, how many are below `key`. NaN: none.
inline std::uint32_t count_below_16(const float* keys, float key) noexcept {
  const std::uint32_t below =
      _cvtmask16_u32(_mm512_cmp_ps_mask(_mm512_load_ps(keys), _mm512_set1_ps(key), _CMP_LT_OQ));
  return static_cast<std::uint32_t>(__builtin_popcount(below));
}

// Of 8 ascending numbers, how many are below `x`. NaN: none.
inline std::uint32_t count_below_8(const double* thresholds, double x) noexcept {
  const std::uint32_t below =
      _cvtmask8_u32(_mm512_cmp_pd_mask(_mm512_loadu_pd(thresholds), _mm512_set1_pd(x), _CMP_LT_OQ));
  return static_cast<std::uint32_t>(__builtin_popcount(below));
}
inline std::uint32_t count_below_8(const float* thresholds, float x) noexcept {
  const std::uint32_t below =
      _cvtmask8_u32(_mm256_cmp_ps_mask(_mm256_loadu_ps(thresholds), _mm256_set1_ps(x), _CMP_LT_OQ));
  return static_cast<std::uint32_t>(__builtin_popcount(below));
}

// Whether one of 16 floats is `key`; a number that is not 0.
inline std::uint32_t any_equal_16(const float* keys, float key) noexcept {
  return _mm512_cmp_ps_mask(_mm512_load_ps(keys), _mm512_set1_ps(key), _CMP_EQ_OQ);
}

template <class Lane>
struct Vector;

template <>
struct Vector<std::uint8_t> {
  static constexpr std::size_t kLanes = 64;
  using Type = __m512i;
  static Type zero() noexcept { return _mm512_setzero_si512(); }
  static Type splat(std::uint8_t x) noexcept { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Type load(const std::uint8_t* p) noexcept { return _mm512_load_si512(p); }
  static void store(std::uint8_t* p, Type v) noexcept { _mm512_store_si512(p, v); }
  // cur == low && value > threshold ? middle : cur
  static Type advance(Type cur, Type low, const std::uint8_t* value, Type threshold,
                      Type middle) noexcept {
    const __mmask64 here = _mm512_cmpeq_epi8_mask(cur, low);
    const __mmask64 right = _mm512_mask_cmpgt_epu8_mask(here, _mm512_load_si512(value), threshold);
    return _mm512_mask_mov_epi8(cur, right, middle);
  }
};

template <>
struct Vector<std::uint16_t> {
  static constexpr std::size_t kLanes = 32;
  using Type = __m512i;
  static Type zero() noexcept { return _mm512_setzero_si512(); }
  static Type splat(std::uint16_t x) noexcept { return _mm512_set1_epi16(static_cast<short>(x)); }
  static Type load(const std::uint16_t* p) noexcept { return _mm512_load_si512(p); }
  static void store(std::uint16_t* p, Type v) noexcept { _mm512_store_si512(p, v); }
  static Type advance(Type cur, Type low, const std::uint16_t* value, Type threshold,
                      Type middle) noexcept {
    const __mmask32 here = _mm512_cmpeq_epi16_mask(cur, low);
    const __mmask32 right = _mm512_mask_cmpgt_epu16_mask(here, _mm512_load_si512(value), threshold);
    return _mm512_mask_mov_epi16(cur, right, middle);
  }
};

// sums[i] += leaves[index[i]] for n lanes (a multiple of 16 may be read and written).
inline void add_leaves(const double* leaves, std::size_t leaf_count, const std::uint8_t* index,
                       double* sums, std::size_t n) noexcept {
  if (leaf_count <= 16) {
    const __m512d low = _mm512_load_pd(leaves);
    const __m512d high = _mm512_load_pd(leaves + 8);
    for (std::size_t i = 0; i < n; i += 8) {
      const __m512i at =
          _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + i)));
      const __m512d value = _mm512_permutex2var_pd(low, at, high);
      _mm512_store_pd(sums + i, _mm512_add_pd(_mm512_load_pd(sums + i), value));
    }
    return;
  }
  if (leaf_count <= 32) {
    const __m512d a = _mm512_load_pd(leaves);
    const __m512d b = _mm512_load_pd(leaves + 8);
    const __m512d c = _mm512_load_pd(leaves + 16);
    const __m512d d = _mm512_load_pd(leaves + 24);
    for (std::size_t i = 0; i < n; i += 8) {
      const __m512i at =
          _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + i)));
      const __mmask8 upper = _mm512_test_epi64_mask(at, _mm512_set1_epi64(16));
      const __m512d below = _mm512_permutex2var_pd(a, at, b);
      const __m512d above = _mm512_permutex2var_pd(c, at, d);
      const __m512d value = _mm512_mask_mov_pd(below, upper, above);
      _mm512_store_pd(sums + i, _mm512_add_pd(_mm512_load_pd(sums + i), value));
    }
    return;
  }
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256i at =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + i)));
    const __m512d value = _mm512_i32gather_pd(at, leaves, 8);
    _mm512_store_pd(sums + i, _mm512_add_pd(_mm512_load_pd(sums + i), value));
  }
}

inline void add_leaves(const double* leaves, std::size_t /*leaf_count*/, const std::uint16_t* index,
                       double* sums, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256i at =
        _mm256_cvtepu16_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(index + i)));
    const __m512d value = _mm512_i32gather_pd(at, leaves, 8);
    _mm512_store_pd(sums + i, _mm512_add_pd(_mm512_load_pd(sums + i), value));
  }
}

inline void add_leaves(const float* leaves, std::size_t leaf_count, const std::uint8_t* index,
                       float* sums, std::size_t n) noexcept {
  if (leaf_count <= 64) {
    const __m512 a = _mm512_load_ps(leaves);
    const __m512 b = _mm512_load_ps(leaves + 16);
    const __m512 c = _mm512_load_ps(leaves + 32);
    const __m512 d = _mm512_load_ps(leaves + 48);
    for (std::size_t i = 0; i < n; i += 16) {
      const __m512i at =
          _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(index + i)));
      const __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
      const __m512 below = _mm512_permutex2var_ps(a, at, b);
      const __m512 above = _mm512_permutex2var_ps(c, at, d);
      const __m512 value = _mm512_mask_mov_ps(below, upper, above);
      _mm512_store_ps(sums + i, _mm512_add_ps(_mm512_load_ps(sums + i), value));
    }
    return;
  }
  for (std::size_t i = 0; i < n; i += 16) {
    const __m512i at =
        _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(index + i)));
    const __m512 value = _mm512_i32gather_ps(at, leaves, 4);
    _mm512_store_ps(sums + i, _mm512_add_ps(_mm512_load_ps(sums + i), value));
  }
}

inline void add_leaves(const float* leaves, std::size_t /*leaf_count*/, const std::uint16_t* index,
                       float* sums, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; i += 16) {
    const __m512i at =
        _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(index + i)));
    const __m512 value = _mm512_i32gather_ps(at, leaves, 4);
    _mm512_store_ps(sums + i, _mm512_add_ps(_mm512_load_ps(sums + i), value));
  }
}

}  // namespace slipstream::forest::avx512
