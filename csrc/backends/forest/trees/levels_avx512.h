// Levels on AVX-512 VBMI: a level of a tree costs one comparison for a whole vector of rows.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <utility>

#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/simd_avx512.h"

namespace slipstream::forest::avx512 {
namespace {

// What differs between lanes of 8 and of 16 bits.
template <class Lane>
struct LevelOps;

template <>
struct LevelOps<std::uint8_t> {
  using Mask = __mmask64;
  static __m512i load_where(__m512i otherwise, Mask where, const std::uint8_t* from) noexcept {
    return _mm512_mask_loadu_epi8(otherwise, where, from);
  }
  static __m512i choose(__m512i otherwise, Mask where, __m512i then) noexcept {
    return _mm512_mask_mov_epi8(otherwise, where, then);
  }
  static Mask greater(__m512i a, __m512i b) noexcept { return _mm512_cmpgt_epu8_mask(a, b); }
  static __m512i doubled_plus(__m512i at, Mask one) noexcept {
    const __m512i twice = _mm512_add_epi8(at, at);
    return _mm512_mask_sub_epi8(twice, one, twice, _mm512_set1_epi8(-1));
  }
  // table[at], of a level whose places all fit one register.
  template <unsigned Level>
  static __m512i at_level(const std::uint8_t* table, __m512i at) noexcept {
    return _mm512_permutexvar_epi8(at, _mm512_load_si512(table));
  }
};

template <>
struct LevelOps<std::uint16_t> {
  using Mask = __mmask32;
  static __m512i load_where(__m512i otherwise, Mask where, const std::uint16_t* from) noexcept {
    return _mm512_mask_loadu_epi16(otherwise, where, from);
  }
  static __m512i choose(__m512i otherwise, Mask where, __m512i then) noexcept {
    return _mm512_mask_mov_epi16(otherwise, where, then);
  }
  static Mask greater(__m512i a, __m512i b) noexcept { return _mm512_cmpgt_epu16_mask(a, b); }
  static __m512i doubled_plus(__m512i at, Mask one) noexcept {
    const __m512i twice = _mm512_add_epi16(at, at);
    return _mm512_mask_sub_epi16(twice, one, twice, _mm512_set1_epi16(-1));
  }
  template <unsigned Level>
  static __m512i at_level(const std::uint16_t* table, __m512i at) noexcept {
    if constexpr (Level < 6) {
      return _mm512_permutexvar_epi16(at, _mm512_load_si512(table));
    } else {
      return _mm512_permutex2var_epi16(_mm512_load_si512(table), at, _mm512_load_si512(table + 32));
    }
  }
};

template <class Lane>
using LevelMask = typename LevelOps<Lane>::Mask;

// Of a vector of rows, the value of the plane that the node of each row looks at. `planes` are
// those of the nodes of level `Level` below the decisions 0 … Bit - 1: a tree of choices, of which
// the last ones are made while loading.
template <class Lane, unsigned Level, unsigned Bit>
[[gnu::always_inline]] inline __m512i level_values(const Lane* values, const std::uint32_t* planes,
                                                   const LevelMask<Lane>* right) noexcept {
  using Ops = LevelOps<Lane>;
  if constexpr (Bit == Level) {
    return _mm512_load_si512(values + *planes);
  } else {
    constexpr std::size_t kHalf = std::size_t{1} << (Level - Bit - 1);
    const __m512i left = level_values<Lane, Level, Bit + 1>(values, planes, right);
    if constexpr (kHalf == 1) {
      return Ops::load_where(left, right[Bit], values + planes[1]);
    } else {
      return Ops::choose(left, right[Bit],
                         level_values<Lane, Level, Bit + 1>(values, planes + kHalf, right));
    }
  }
}

// The places of one vector of rows below `Depth` levels. `values`: of these rows, in the first
// plane.
template <class Lane, std::size_t... Level>
[[gnu::always_inline]] inline __m512i descend_vector(const Lane* values,
                                                     const std::uint32_t* planes,
                                                     const Lane* thresholds,
                                                     std::index_sequence<Level...>) noexcept {
  using Ops = LevelOps<Lane>;
  constexpr std::size_t kRegister = Vector<Lane>::kLanes;
  LevelMask<Lane> right[sizeof...(Level)];
  __m512i at = _mm512_setzero_si512();
  const auto step = [&]<std::size_t L>(std::integral_constant<std::size_t, L>) {
    const __m512i value =
        level_values<Lane, L, 0>(values, planes + (std::size_t{1} << L) - 1, right);
    right[L] = Ops::greater(value, Ops::template at_level<L>(thresholds + L * kRegister, at));
    at = Ops::doubled_plus(at, right[L]);
  };
  (step(std::integral_constant<std::size_t, Level>{}), ...);
  return at;
}

template <class Lane, std::size_t Depth>
void descend(const LevelsTask<Lane>& task, std::size_t rows) noexcept {
  const std::uint32_t* planes = task.level_planes + task.tree.first_plane;
  const Lane* thresholds = task.level_thresholds + task.tree.first_threshold;
  for (std::size_t row = 0; row < rows; row += Vector<Lane>::kLanes) {
    _mm512_store_si512(task.places + row,
                       descend_vector<Lane>(task.planes + row, planes, thresholds,
                                            std::make_index_sequence<Depth>{}));
  }
}

template <class Lane>
void descend_levels(const LevelsTask<Lane>& task, std::size_t rows) noexcept {
  static_assert(kMostLevels == 7);
  switch (task.tree.depth) {
    case 1:
      return descend<Lane, 1>(task, rows);
    case 2:
      return descend<Lane, 2>(task, rows);
    case 3:
      return descend<Lane, 3>(task, rows);
    case 4:
      return descend<Lane, 4>(task, rows);
    case 5:
      return descend<Lane, 5>(task, rows);
    case 6:
      return descend<Lane, 6>(task, rows);
    default:
      return descend<Lane, 7>(task, rows);
  }
}

constexpr auto kLevels8 = descend_levels<std::uint8_t>;
constexpr auto kLevels16 = descend_levels<std::uint16_t>;

}  // namespace
}  // namespace slipstream::forest::avx512
