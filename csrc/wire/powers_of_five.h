// The first 128 bits of the powers of five, computed by the compiler: what number.cc multiplies by
// to turn a decimal into a binary number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace slipstream::wire {

// And its negative: more than measurements ever need, and the last one where 5^q, doubled once in
// the division below, fits in 128 bits.
inline constexpr std::int64_t kMaxPowerOfFive = 54;

// floor(5^q * 2^s) with s such that the result has exactly 128 bits.
struct PowerOfFive {
  std::uint64_t high;
  std::uint64_t low;
};

namespace powers_detail {

__extension__ using Uint128 = unsigned __int128;

constexpr PowerOfFive halves(Uint128 value) {
  return {static_cast<std::uint64_t>(value >> 64), static_cast<std::uint64_t>(value)};
}

constexpr Uint128 leading_bits(Uint128 value) {
  while (value >> 127 == 0) value <<= 1;
  return value;
}

// The first 128 bits of 1 / value, by long division.
constexpr Uint128 leading_bits_of_inverse(Uint128 value) {
  Uint128 remainder = 1;
  Uint128 quotient = 0;
  while (quotient >> 127 == 0) {
    remainder <<= 1;
    quotient <<= 1;
    if (remainder >= value) {
      remainder -= value;
      quotient |= 1;
    }
  }
  return quotient;
}

consteval std::array<PowerOfFive, 2 * kMaxPowerOfFive + 1> powers_of_five() {
  std::array<PowerOfFive, 2 * kMaxPowerOfFive + 1> powers{};
  Uint128 power = 1;
  for (std::size_t q = 0; q <= kMaxPowerOfFive; ++q) {
    powers[kMaxPowerOfFive + q] = halves(leading_bits(power));
    if (q > 0) powers[kMaxPowerOfFive - q] = halves(leading_bits_of_inverse(power));
    power *= 5;
  }
  return powers;
}

}  // namespace powers_detail

// Of 5^(i - kMaxPowerOfFive).
inline constexpr auto kPowersOfFive = powers_detail::powers_of_five();

static_assert(kPowersOfFive[kMaxPowerOfFive].high == std::uint64_t{1} << 63);      // 1
static_assert(kPowersOfFive[kMaxPowerOfFive + 1].high == std::uint64_t{5} << 61);  // 5
static_assert(kPowersOfFive[kMaxPowerOfFive - 1].high == 0xCCCCCCCCCCCCCCCC);      // 1/5
static_assert(kPowersOfFive[kMaxPowerOfFive - 1].low == 0xCCCCCCCCCCCCCCCC);

}  // namespace slipstream::wire
