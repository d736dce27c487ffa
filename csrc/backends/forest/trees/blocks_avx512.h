// Blocks on AVX-512 VBMI: see blocks.h.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstdint>

#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/lockstep_avx512.h"

namespace slipstream::forest::avx512 {
namespace {

// Which way out of a block each set of its seven decisions means: node n is followed by 2n + 1 and
// 2n + 2.
constexpr std::array<std::uint8_t, 128> make_ways_out() noexcept {
  std::array<std::uint8_t, 128> ways{};
  for (unsigned decisions = 0; decisions < 128; ++decisions) {
    unsigned node = 0;
    while (node < 7) node = 2 * node + 1 + ((decisions >> node) & 1U);
    ways[decisions] = static_cast<std::uint8_t>(node - 7);
  }
  return ways;
}
alignas(64) constexpr std::array<std::uint8_t, 128> kWaysOut = make_ways_out();

struct WaysOut {
  __m512i low = _mm512_load_si512(kWaysOut.data());
  __m512i high = _mm512_load_si512(kWaysOut.data() + 64);
  // Of bytes of decisions; 0 where there are none.
  [[nodiscard]] __m512i operator[](__m512i decisions) const noexcept {
    return _mm512_permutex2var_epi8(low, decisions, high);
  }
};

// Nodes of four blocks, and which of them go right: 16 bits a block, of which 7 are used.
template <std::size_t Registers>
std::uint64_t decide_lower(const RowBins<Registers>& bins, const std::uint8_t* a,
                           const std::uint8_t* b, const std::uint8_t* c,
                           const std::uint8_t* d) noexcept {
  const auto load = [](const std::uint8_t* from) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(from));
  };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(a)), load(b), 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load(c)), load(d), 1);
  const __m512i nodes = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  constexpr __mmask64 kNodes = 0x007F007F007F007F;
  return _cvtmask64_u64(
      _mm512_mask_cmpgt_epu8_mask(kNodes, bins[nodes], _mm512_bsrli_epi128(nodes, 8)));
}

template <std::size_t Registers>
void decide_blocks(const BlocksTask& task) noexcept {
  const RowBins<Registers> bins(task.row);
  const WaysOut ways;
  auto* upper_decisions = reinterpret_cast<std::uint64_t*>(task.decisions);
  for (std::size_t tree = 0; tree < task.trees; tree += 8) {
    const std::uint8_t* nodes = task.upper + tree * 16;
    upper_decisions[tree / 8] = _cvtmask64_u64(
        _mm512_cmpgt_epu8_mask(bins[_mm512_load_si512(nodes)], _mm512_load_si512(nodes + 64)));
  }
  for (std::size_t tree = 0; tree < task.trees; tree += 64) {
    // Bit 7 stands for no node; its threshold lets nothing go right.
    const __m512i exits = ways[_mm512_load_si512(task.decisions + tree)];
    if (task.lower != nullptr) {
      _mm512_store_si512(task.exits + tree, exits);
      continue;
    }
    _mm512_store_si512(task.places + tree, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(exits)));
    _mm512_store_si512(task.places + tree + 32,
                       _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(exits, 1)));
  }
  if (task.lower == nullptr) return;
  auto* lower_decisions = reinterpret_cast<std::uint64_t*>(task.decisions);
  const std::uint8_t* blocks = task.lower;
  const std::size_t tree_bytes = kBlockExits * task.block_bytes;
  for (std::size_t tree = 0; tree < task.trees; tree += 4, blocks += 4 * tree_bytes) {
    const auto block = [&](std::size_t i) {
      return blocks + i * tree_bytes + task.exits[tree + i] * task.block_bytes;
    };
    lower_decisions[tree / 4] = decide_lower(bins, block(0), block(1), block(2), block(3));
  }
  const __m512i first_value = _mm512_set1_epi16(static_cast<short>(task.first_value));
  for (std::size_t tree = 0; tree < task.trees; tree += 32) {
    const __m512i exits = ways[_mm512_load_si512(task.decisions + 2 * tree)];
    const __m512i above = _mm512_cvtepu8_epi16(
        _mm256_load_si256(reinterpret_cast<const __m256i*>(task.exits + tree)));
    const __m512i place = _mm512_add_epi16(_mm512_slli_epi16(above, 4), exits);
    _mm512_store_si512(task.places + tree, _mm512_add_epi16(place, first_value));
  }
}

void blocks(const BlocksTask& task) noexcept {
  if (task.row_registers == 1) return decide_blocks<1>(task);
  if (task.row_registers == 2) return decide_blocks<2>(task);
  decide_blocks<4>(task);
}

constexpr auto kBlocks = blocks;

}  // namespace
}  // namespace slipstream::forest::avx512
