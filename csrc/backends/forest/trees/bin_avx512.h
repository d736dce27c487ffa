// Binning on AVX-512: keys of 16 values at a time, and blocks of rows against thresholds that are
// held in registers.
#pragma once

#include <immintrin.h>

#include <limits>

#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/simd_avx512.h"

namespace slipstream::forest::avx512 {
namespace {

constexpr float kZeroKey = 1e-35F;  // kZeroThreshold of value.h

struct Keys16 {
  __m512 keys;      // NaN where missing
  __mmask16 exact;  // the key is the value itself
};

inline __mmask16 join(__mmask8 low, __mmask8 high) noexcept {
  return static_cast<__mmask16>(low | (high << 8));
}
inline __m512 join(__m256 low, __m256 high) noexcept {
  return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

// The rules of value.h for 16 values; `as_zero` and `zero_too` name the lanes whose rule that is.
inline Keys16 apply_rules(const BinTask& task, Keys16 made, __mmask16 near_zero, __mmask16 as_zero,
                          __mmask16 zero_too) noexcept {
  if (task.zero_flush) {
    made.keys = _mm512_mask_mov_ps(made.keys, near_zero, _mm512_setzero_ps());
    made.exact = static_cast<__mmask16>(made.exact | near_zero);
  }
  if (zero_too != 0) {
    made.keys = _mm512_mask_mov_ps(made.keys, static_cast<__mmask16>(near_zero & zero_too),
                                   _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN()));
  }
  if (as_zero != 0) {
    const __mmask16 nan = _mm512_mask_cmp_ps_mask(as_zero, made.keys, made.keys, _CMP_UNORD_Q);
    made.keys = _mm512_mask_mov_ps(made.keys, nan, _mm512_setzero_ps());
  }
  return made;
}

// 16 floats -> keys.
inline Keys16 keys_of(const BinTask& task, __m512 x, __mmask16 as_zero,
                      __mmask16 zero_too) noexcept {
  __mmask16 near_zero = 0;
  if (task.zero_flush || zero_too != 0) {
    near_zero = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(kZeroKey), _CMP_LE_OQ);
  }
  return apply_rules(task, {x, 0xFFFF}, near_zero, as_zero, zero_too);
}

// 16 doubles -> keys.
inline Keys16 keys_of(const BinTask& task, __m512d low, __m512d high, __mmask16 as_zero,
                      __mmask16 zero_too) noexcept {
  if (!task.round_down) {
    return keys_of(task, join(_mm512_cvtpd_ps(low), _mm512_cvtpd_ps(high)), as_zero, zero_too);
  }
  __mmask16 near_zero = 0;
  if (task.zero_flush || zero_too != 0) {
    const __m512d limit = _mm512_set1_pd(static_cast<double>(kZeroKey));
    near_zero = join(_mm512_cmp_pd_mask(_mm512_abs_pd(low), limit, _CMP_LE_OQ),
                     _mm512_cmp_pd_mask(_mm512_abs_pd(high), limit, _CMP_LE_OQ));
  }
  constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const __m256 low_keys = _mm512_cvt_roundpd_ps(low, kDown);
  const __m256 high_keys = _mm512_cvt_roundpd_ps(high, kDown);
  const __mmask16 rounded = join(_mm512_cmp_pd_mask(_mm512_cvtps_pd(low_keys), low, _CMP_NEQ_OQ),
                                 _mm512_cmp_pd_mask(_mm512_cvtps_pd(high_keys), high, _CMP_NEQ_OQ));
  const Keys16 made{join(low_keys, high_keys), static_cast<__mmask16>(~rounded)};
  return apply_rules(task, made, near_zero, as_zero, zero_too);
}

inline __mmask16 first_lanes(std::size_t count) noexcept {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U);
}

// 16 values of a row from `feature` on; those behind its last one are 0.
inline void load_16(const RowsView& x, std::size_t row, std::size_t feature, __mmask16 lanes,
                    __m512d& low, __m512d& high) noexcept {
  const std::size_t at = row * x.stride + feature;
  if (x.is_float32) {
    const __m512 given = _mm512_maskz_loadu_ps(lanes, static_cast<const float*>(x.data) + at);
    low = _mm512_cvtps_pd(_mm512_castps512_ps256(given));
    high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(given, 1));
    return;
  }
  const double* given = static_cast<const double*>(x.data) + at;
  low = _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), given);
  high = _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes >> 8), given + 8);
}

// Keys of a row from `feature` on.
inline Keys16 keys_at(const BinTask& task, const RowsView& x, std::size_t row,
                      std::size_t feature) noexcept {
  const __mmask16 lanes = first_lanes(task.features - feature);
  const __mmask16 as_zero = task.as_zero[feature / 16];
  const __mmask16 zero_too = task.zero_too[feature / 16];
  if (x.is_float32) {
    const float* given = static_cast<const float*>(x.data) + row * x.stride + feature;
    return keys_of(task, _mm512_maskz_loadu_ps(lanes, given), as_zero, zero_too);
  }
  __m512d low;
  __m512d high;
  load_16(x, row, feature, lanes, low, high);
  return keys_of(task, low, high, as_zero, zero_too);
}

// keys[f] of one row.
inline RowTraits make_keys(const BinTask& task, const RowsView& x, std::size_t row,
                           float* keys) noexcept {
  __mmask16 nan = 0;
  __mmask16 rounded = 0;
  for (std::size_t f = 0; f < task.features; f += 16) {
    const Keys16 made = keys_at(task, x, row, f);
    _mm512_store_ps(keys + f, made.keys);
    nan |= _mm512_cmp_ps_mask(made.keys, made.keys, _CMP_UNORD_Q);
    rounded |= static_cast<__mmask16>(~made.exact);
  }
  return {nan != 0, rounded != 0};
}

// 8 vectors of 8 doubles, transposed in place.
inline void transpose_8x8(__m512d (&v)[8]) noexcept {
  const __m512d a0 = _mm512_unpacklo_pd(v[0], v[1]);
  const __m512d a1 = _mm512_unpackhi_pd(v[0], v[1]);
  const __m512d a2 = _mm512_unpacklo_pd(v[2], v[3]);
  const __m512d a3 = _mm512_unpackhi_pd(v[2], v[3]);
  const __m512d a4 = _mm512_unpacklo_pd(v[4], v[5]);
  const __m512d a5 = _mm512_unpackhi_pd(v[4], v[5]);
  const __m512d a6 = _mm512_unpacklo_pd(v[6], v[7]);
  const __m512d a7 = _mm512_unpackhi_pd(v[6], v[7]);
  const __m512d b0 = _mm512_shuffle_f64x2(a0, a2, 0x88);
  const __m512d b1 = _mm512_shuffle_f64x2(a1, a3, 0x88);
  const __m512d b2 = _mm512_shuffle_f64x2(a0, a2, 0xDD);
  const __m512d b3 = _mm512_shuffle_f64x2(a1, a3, 0xDD);
  const __m512d b4 = _mm512_shuffle_f64x2(a4, a6, 0x88);
  const __m512d b5 = _mm512_shuffle_f64x2(a5, a7, 0x88);
  const __m512d b6 = _mm512_shuffle_f64x2(a4, a6, 0xDD);
  const __m512d b7 = _mm512_shuffle_f64x2(a5, a7, 0xDD);
  v[0] = _mm512_shuffle_f64x2(b0, b4, 0x88);
  v[1] = _mm512_shuffle_f64x2(b1, b5, 0x88);
  v[2] = _mm512_shuffle_f64x2(b2, b6, 0x88);
  v[3] = _mm512_shuffle_f64x2(b3, b7, 0x88);
  v[4] = _mm512_shuffle_f64x2(b0, b4, 0xDD);
  v[5] = _mm512_shuffle_f64x2(b1, b5, 0xDD);
  v[6] = _mm512_shuffle_f64x2(b2, b6, 0xDD);
  v[7] = _mm512_shuffle_f64x2(b3, b7, 0xDD);
}

constexpr std::size_t kTile = 8;  // features that are transposed together: a cache line of doubles

constexpr std::size_t kAhead = 64;  // rows: far enough for memory that is 150 ns away

// Asks for the tiles of 16 rows that will be loaded soon. Rows lie apart, so no hardware prefetcher
// sees a stream in them.
inline void prefetch_tiles(const RowsView& x, std::size_t row, std::size_t rows,
                           std::size_t feature) noexcept {
  const std::size_t size = x.is_float32 ? sizeof(float) : sizeof(double);
  const std::size_t end = row + 16 < rows ? row + 16 : rows;
  for (; row < end; ++row) {
    const char* tile = static_cast<const char*>(x.data) + (row * x.stride + feature) * size;
    _mm_prefetch(tile, _MM_HINT_T0);
    _mm_prefetch(tile + kTile * size - 1, _MM_HINT_T0);
  }
}

// 8 rows from `row`, 8 features from `feature`, as 8 vectors of one feature each.
inline void load_tile(const RowsView& x, std::size_t row, std::size_t rows, std::size_t feature,
                      __mmask8 lanes, __m512d (&tile)[8]) noexcept {
  for (std::size_t r = 0; r < 8; ++r) {
    const std::size_t at = (row + r < rows ? row + r : rows - 1) * x.stride + feature;
    tile[r] =
        x.is_float32
            ? _mm512_cvtps_pd(_mm256_maskz_loadu_ps(lanes, static_cast<const float*>(x.data) + at))
            : _mm512_maskz_loadu_pd(lanes, static_cast<const double*>(x.data) + at);
  }
  transpose_8x8(tile);
}

// Among up to 255 thresholds in heap order, held in registers, how many are below each key.
template <std::uint32_t Depth>
struct RegisterSearch {
  static constexpr std::size_t kRegisters = Depth <= 4 ? 1 : (std::size_t{1} << Depth) / 16;
  __m512 heap[kRegisters];

  explicit RegisterSearch(const float* from) noexcept {
    for (std::size_t i = 0; i < kRegisters; ++i) heap[i] = _mm512_load_ps(from + 16 * i);
  }

  // heap[at], for at on the level that has `Level` bits.
  template <std::uint32_t Level>
  [[nodiscard]] __m512 at_level(__m512i at) const noexcept {
    if constexpr (Level < 4) {
      return _mm512_permutexvar_ps(at, heap[0]);
    } else if constexpr (Level == 4) {
      return _mm512_permutexvar_ps(at, heap[1]);  // the permutation ignores the upper bits
    } else if constexpr (Level == 5) {
      return _mm512_permutex2var_ps(heap[2], at, heap[3]);
    } else if constexpr (Level == 6) {
      const __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
      return _mm512_mask_mov_ps(_mm512_permutex2var_ps(heap[4], at, heap[5]), upper,
                                _mm512_permutex2var_ps(heap[6], at, heap[7]));
    } else {
      const __mmask16 upper = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
      const __mmask16 top = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
      const __m512 low = _mm512_mask_mov_ps(_mm512_permutex2var_ps(heap[8], at, heap[9]), upper,
                                            _mm512_permutex2var_ps(heap[10], at, heap[11]));
      const __m512 high = _mm512_mask_mov_ps(_mm512_permutex2var_ps(heap[12], at, heap[13]), upper,
                                             _mm512_permutex2var_ps(heap[14], at, heap[15]));
      return _mm512_mask_mov_ps(low, top, high);
    }
  }

  template <std::uint32_t Level>
  [[nodiscard]] __m512i descend(__m512i at, __m512 keys) const noexcept {
    if constexpr (Level == Depth) {
      return _mm512_sub_epi32(at, _mm512_set1_epi32(1 << Depth));
    } else {
      const __mmask16 right = _mm512_cmp_ps_mask(at_level<Level>(at), keys, _CMP_LT_OQ);
      const __m512i doubled = _mm512_add_epi32(at, at);
      return descend<Level + 1>(
          _mm512_mask_add_epi32(doubled, right, doubled, _mm512_set1_epi32(1)), keys);
    }
  }

  [[nodiscard]] __m512i operator()(__m512 keys) const noexcept {
    return descend<0>(_mm512_set1_epi32(1), keys);
  }
};

// Equal keys of values that are no float32s: the originals decide (see value.h). None of them was
// changed by a rule, since rules make zeros and NaN, which are exact.
[[gnu::noinline]] inline __m512i settle(const BinColumn& column, const RowsView& x,
                                        std::size_t first_row, std::size_t rows, __m512i bins,
                                        __m512 keys, __mmask16 which) noexcept {
  alignas(64) std::uint32_t bin[16];
  alignas(64) float key[16];
  _mm512_store_si512(bin, bins);
  _mm512_store_ps(key, keys);
  const float* sorted = column.keys;
  std::size_t size = 16;
  for (std::uint32_t l = 1; l < column.levels; ++l, size *= 16) sorted += size;
  for (std::size_t lane = 0; lane < 16; ++lane) {
    if (((which >> lane) & 1U) == 0 || first_row + lane >= rows) continue;
    const double value =
        static_cast<const double*>(x.data)[(first_row + lane) * x.stride + column.feature];
    while (bin[lane] < column.count && sorted[bin[lane]] == key[lane] &&
           column.exact[bin[lane]] < value) {
      ++bin[lane];
    }
  }
  return _mm512_load_si512(bin);
}

inline void store_bins(std::uint8_t* to, __m512i bins) noexcept {
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(bins));
}
inline void store_bins(std::uint16_t* to, __m512i bins) noexcept {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(bins));
}

template <class Lane>
void write_planes(const BinColumn& column, __m512i bins, __m512 keys, Lane* out, std::size_t block,
                  std::size_t row) noexcept {
  const __mmask16 missing = _mm512_cmp_ps_mask(keys, keys, _CMP_UNORD_Q);
  store_bins(out + column.plane_left * block + row, bins);
  store_bins(
      out + column.plane_right * block + row,
      _mm512_mask_mov_epi32(bins, missing, _mm512_set1_epi32(static_cast<int>(column.count))));
}

template <std::uint32_t Depth, class Lane>
void bin_column(const BinColumn& column, const RowsView& x, std::size_t rows, const float* keys,
                const std::uint16_t* exact, Lane* out, std::size_t block) noexcept {
  const RegisterSearch<Depth> search(column.heap);
  for (std::size_t row = 0; row < rows; row += 16) {
    const __m512 key = _mm512_load_ps(keys + row);
    __m512i bins = search(key);
    if (const auto rounded = static_cast<__mmask16>(~exact[row / 16]); rounded != 0) {
      const float* sorted = column.keys + (column.levels == 2 ? 16 : 0);
      const __m512 threshold = _mm512_i32gather_ps(bins, sorted, 4);
      const __mmask16 equal = _mm512_mask_cmp_ps_mask(rounded, threshold, key, _CMP_EQ_OQ);
      if (equal != 0) [[unlikely]]
        bins = settle(column, x, row, rows, bins, key, equal);
    }
    write_planes(column, bins, key, out, block, row);
  }
}

// More thresholds than registers hold.
template <class Lane>
void bin_long_column(const BinColumn& column, const RowsView& x, std::size_t rows,
                     const float* keys, const std::uint16_t* exact, Lane* out,
                     std::size_t block) noexcept {
  for (std::size_t row = 0; row < rows; row += 16) {
    alignas(64) std::uint32_t bin[16];
    const float* sorted = column.keys;
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const float* level = column.keys;
      std::size_t at = 0;
      std::size_t size = 16;
      for (std::uint32_t l = 1; l < column.levels; ++l, size *= 16) {
        at = at * 16 + count_below_16(level + at * 16, keys[row + lane]);
        level += size;
      }
      bin[lane] =
          static_cast<std::uint32_t>(at * 16 + count_below_16(level + at * 16, keys[row + lane]));
      sorted = level;
    }
    const __m512 key = _mm512_load_ps(keys + row);
    __m512i bins = _mm512_load_si512(bin);
    if (const auto rounded = static_cast<__mmask16>(~exact[row / 16]); rounded != 0) {
      const __m512 threshold = _mm512_i32gather_ps(bins, sorted, 4);
      const __mmask16 equal = _mm512_mask_cmp_ps_mask(rounded, threshold, key, _CMP_EQ_OQ);
      if (equal != 0) [[unlikely]]
        bins = settle(column, x, row, rows, bins, key, equal);
    }
    write_planes(column, bins, key, out, block, row);
  }
}

template <class Lane>
void bin_one_column(const BinColumn& column, const RowsView& x, std::size_t rows, const float* keys,
                    const std::uint16_t* exact, Lane* out, std::size_t block) noexcept {
  switch (column.heap_depth) {
    case 4:
      return bin_column<4>(column, x, rows, keys, exact, out, block);
    case 5:
      return bin_column<5>(column, x, rows, keys, exact, out, block);
    case 6:
      return bin_column<6>(column, x, rows, keys, exact, out, block);
    case 7:
      return bin_column<7>(column, x, rows, keys, exact, out, block);
    case 8:
      return bin_column<8>(column, x, rows, keys, exact, out, block);
    default:
      return bin_long_column(column, x, rows, keys, exact, out, block);
  }
}

template <class Lane>
void bin_block(const BinTask& task, const RowsView& x, std::size_t rows, Lane* out,
               float* scratch) noexcept {
  constexpr std::size_t kBlock = Vector<Lane>::kLanes * 8;
  float* keys = scratch;                                                  // [kTile][kBlock]
  auto* exact = reinterpret_cast<std::uint16_t*>(scratch + kTile * 512);  // [kTile][kBlock / 16]
  const BinColumn* column = task.columns;
  const BinColumn* end = column + task.column_count;
  while (column != end) {
    const std::size_t first = column->feature / kTile * kTile;
    const auto lanes = static_cast<__mmask8>(first_lanes(task.features - first));
    const auto bits = [&](const std::uint16_t* of, std::size_t f) {
      return static_cast<__mmask16>(((of[f / 16] >> (f % 16)) & 1U) != 0 ? 0xFFFF : 0);
    };
    for (std::size_t row = 0; row < rows; row += 16) {
      prefetch_tiles(x, row + kAhead, rows, first);
      __m512d low[8];
      __m512d high[8];
      load_tile(x, row, rows, first, lanes, low);
      load_tile(x, row + 8, rows, first, lanes, high);
      for (std::size_t f = 0; f < kTile; ++f) {
        const std::size_t feature = first + f < task.features ? first + f : task.features - 1;
        const Keys16 made = keys_of(task, low[f], high[f], bits(task.as_zero, feature),
                                    bits(task.zero_too, feature));
        _mm512_store_ps(keys + f * kBlock + row, made.keys);
        exact[f * (kBlock / 16) + row / 16] = made.exact;
      }
    }
    for (; column != end && column->feature < first + kTile; ++column) {
      const std::size_t f = column->feature - first;
      bin_one_column(*column, x, rows, keys + f * kBlock, exact + f * (kBlock / 16), out, kBlock);
    }
  }
}

}  // namespace
}  // namespace slipstream::forest::avx512
