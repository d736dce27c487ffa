#include "backends/forest/crc32.h"

#include <array>
#include <bit>
#include <cstring>

namespace slipstream::forest {
namespace {

static_assert(std::endian::native == std::endian::little, "the file and these words are");

constexpr std::size_t kSlices = 8;
using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

// Table 0 is the usual one, a byte at a time; table s gives what a byte contributes when s more
// bytes follow it.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1U) ^ ((remainder & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    tables[0][byte] = remainder;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8U) ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::uint32_t next_eight(std::uint32_t remainder, const std::byte* bytes) noexcept {
  std::array<std::uint32_t, 2> words{};
  std::memcpy(words.data(), bytes, sizeof words);
  words[0] ^= remainder;
  std::uint32_t result = 0;
  for (std::size_t i = 0; i < kSlices; ++i) {
    result ^= kTables[kSlices - 1 - i][(words[i / 4] >> (8 * (i % 4))) & 0xffU];
  }
  return result;
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes) noexcept {
  std::uint32_t remainder = 0xffff'ffffU;
  std::size_t at = 0;
  for (; at + kSlices <= bytes.size(); at += kSlices) {
    remainder = next_eight(remainder, bytes.data() + at);
  }
  for (; at < bytes.size(); ++at) {
    const auto index = (remainder ^ std::to_integer<std::uint32_t>(bytes[at])) & 0xffU;
    remainder = (remainder >> 8U) ^ kTables[0][index];
  }
  return ~remainder;
}

}  // namespace slipstream::forest
