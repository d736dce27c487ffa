// Decimal mantissa and exponent to the nearest double. Threads: any; nothing throws.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "wire/powers_of_five.h"

namespace slipstream::wire::number_detail {

// The exponent field of a double that is mantissa * 10^exponent, less one, where the mantissa fills
// 64 bits and its product with the power's first bits has 127.
[[nodiscard]] constexpr std::int64_t biased_exponent(std::int64_t exponent) noexcept {
  // floor(exponent * log2(10)), exact for |exponent| <= kMaxPowerOfFive and far beyond.
  const std::int64_t log2_of_power = (exponent * 217706) >> 16;
  return 1 + log2_of_power + 10 + 52 + 1023 - 1;
}

// mantissa * 10^exponent, correctly rounded. False when that takes more than 128 bits to tell, or
// the exponent is out of the ordinary.
//
// The product of the mantissa and the first 128 bits of 5^exponent (after Eisel and Lemire). With
// w' = mantissa << zeros and t = 5^exponent scaled to 128 bits before the point, the table holds
// floor(t), so the true w' * t lies in [product, product + w'): less than one unit of the middle
// 64-bit word above what is computed. The rounding is certain unless that unit decides it, or
// the bits are exactly half way (then the number may be a true tie, or just above one).
[[nodiscard]] inline bool decimal_to_double(std::uint64_t mantissa, std::int64_t exponent,
                                            double& value) noexcept {
  if (mantissa == 0) {
    value = 0.0;
    return true;
  }
  if (exponent < -kMaxPowerOfFive || exponent > kMaxPowerOfFive) return false;
  __extension__ using Product = unsigned __int128;
  const PowerOfFive& power = kPowersOfFive[static_cast<std::size_t>(exponent + kMaxPowerOfFive)];
  const int zeros = std::countl_zero(mantissa);
  mantissa <<= zeros;
  const Product low_product = Product{mantissa} * power.low;
  const Product product = Product{mantissa} * power.high + (low_product >> 64);
  const auto high = static_cast<std::uint64_t>(product >> 64);
  const auto middle = static_cast<std::uint64_t>(product);

  // The product has 191 or 192 bits: keep 53, look at those behind.
  const int shift = (high >> 63) != 0 ? 11 : 10;
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const std::uint64_t rest = high & (2 * half - 1);
  if (rest == half && middle == 0) return false;
  if (rest == half - 1 && middle == ~std::uint64_t{0}) return false;
  const std::uint64_t rounded = (high >> shift) + (rest >= half ? 1 : 0);

  const std::int64_t biased = biased_exponent(exponent) - zeros + (shift - 10);
  // Adding the hidden bit carries a mantissa that rounded up to 2^53 into the exponent.
  value = std::bit_cast<double>((static_cast<std::uint64_t>(biased) << 52) + rounded);
  return true;
}

}  // namespace slipstream::wire::number_detail
