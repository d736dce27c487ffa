// Lockstep on AVX-512 VBMI, whose permutation of bytes looks up a value for 64 trees at once.
#pragma once

#include <immintrin.h>

#include "backends/forest/trees/kernels.h"

namespace slipstream::forest::avx512 {
namespace {

// The bins of one row, and those of the 64 planes named by `planes`.
template <std::size_t Registers>
struct RowBins {
  __m512i bins[Registers];

  RowBins() noexcept = default;
  explicit RowBins(const std::uint8_t* row) noexcept {
    for (std::size_t i = 0; i < Registers; ++i) bins[i] = _mm512_load_si512(row + 64 * i);
  }
  [[nodiscard]] __m512i operator[](__m512i planes) const noexcept {
    if constexpr (Registers == 1) {
      return _mm512_permutexvar_epi8(planes, bins[0]);
    } else if constexpr (Registers == 2) {
      return _mm512_permutex2var_epi8(bins[0], planes, bins[1]);
    } else {
      const __mmask64 upper = _mm512_movepi8_mask(planes);  // bit 7: the second half of 256
      return _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(bins[0], planes, bins[1]), upper,
                                  _mm512_permutex2var_epi8(bins[2], planes, bins[3]));
    }
  }
};

// Rows x Groups of trees side by side: a step waits for the one before it, and there must be enough
// others to fill the time.
template <std::size_t Registers, std::size_t Rows, std::size_t Groups>
void lockstep_groups(const LockstepTask& task, std::size_t first,
                     std::size_t first_row = 0) noexcept {
  static_assert(Rows == 1 || Groups == 1);
  const std::uint8_t* slot[Groups];
  __m512i at[Rows * Groups];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Rows * Groups; ++i) at[i] = _mm512_setzero_si512();
  for (std::size_t g = 0; g < Groups; ++g) {
    slot[g] = task.slots + task.slot_start[first + g] * kSlotBytes;
  }
  RowBins<Registers> row[Rows];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < Rows; ++r)
    row[r] = RowBins<Registers>(task.rows + (first_row + r) * 64 * Registers);
  const std::size_t bytes =
      (task.slot_start[first + 1] - task.slot_start[first]) * std::size_t{kSlotBytes};
  __m512i next_leaf = _mm512_set1_epi8(1);  // slot k divides leaf k from leaf k + 1
  for (std::size_t offset = 0; offset < bytes; offset += kSlotBytes) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Rows * Groups; ++i) {
      const std::uint8_t* nodes = slot[Groups == 1 ? 0 : i] + offset;
      const __m512i values = row[Rows == 1 ? 0 : i][_mm512_load_si512(nodes)];
      const __mmask64 right = _mm512_cmpgt_epu8_mask(values, _mm512_load_si512(nodes + 64));
      const __mmask64 moves =
          _mm512_mask_cmpge_epu8_mask(right, at[i], _mm512_load_si512(nodes + 128));
      at[i] = _mm512_mask_mov_epi8(at[i], moves, next_leaf);
    }
    next_leaf = _mm512_add_epi8(next_leaf, _mm512_set1_epi8(1));
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Rows * Groups; ++i) {
    const std::size_t group = first + (Groups == 1 ? 0 : i);
    const std::size_t r = first_row + (Rows == 1 ? 0 : i);
    _mm512_store_si512(task.leaves + group * kGroupLeaves + r * kLockstepTrees, at[i]);
  }
}

// All rows in one group before the next, so that its slots are read from memory once.
template <std::size_t Registers>
void lockstep_rows(const LockstepTask& task) noexcept {
  for (std::size_t group = 0; group < task.group_count; ++group) {
    std::size_t row = 0;
    // Rows that nobody asked for hold what was there before.
    for (; row + 4 < task.row_count; row += 8) lockstep_groups<Registers, 8, 1>(task, group, row);
    const std::size_t left = row < task.row_count ? task.row_count - row : 0;
    if (left > 2) {
      lockstep_groups<Registers, 4, 1>(task, group, row);
    } else if (left == 2) {
      lockstep_groups<Registers, 2, 1>(task, group, row);
    } else if (left == 1) {
      lockstep_groups<Registers, 1, 1>(task, group, row);
    }
  }
}

template <std::size_t Registers, std::size_t Groups>
void lockstep_one(const LockstepTask& task) noexcept {
  std::size_t group = 0;
  for (; group + Groups <= task.group_count; group += Groups) {
    lockstep_groups<Registers, 1, Groups>(task, group);
  }
  for (; group < task.group_count; ++group) lockstep_groups<Registers, 1, 1>(task, group);
}

template <std::size_t Registers>
void lockstep_single(const LockstepTask& task) noexcept {
  static_assert(kLockstepGroups == 5);
  switch (groups_together(task.group_count)) {
    case 1:
      return lockstep_one<Registers, 1>(task);
    case 2:
      return lockstep_one<Registers, 2>(task);
    case 3:
      return lockstep_one<Registers, 3>(task);
    case 4:
      return lockstep_one<Registers, 4>(task);
    default:
      return lockstep_one<Registers, 5>(task);
  }
}

template <std::size_t Registers>
void lockstep_registers(const LockstepTask& task) noexcept {
  if (task.row_count == 1) return lockstep_single<Registers>(task);
  lockstep_rows<Registers>(task);
}

void lockstep(const LockstepTask& task) noexcept {
  if (task.row_registers == 1) return lockstep_registers<1>(task);
  if (task.row_registers == 2) return lockstep_registers<2>(task);
  lockstep_registers<4>(task);
}

constexpr auto kLockstep = lockstep;

}  // namespace
}  // namespace slipstream::forest::avx512
