#include "wire/decimal.h"

#include <bit>
#include <cstddef>

namespace slipstream::wire::number_detail {

// The product of the mantissa and the first 128 bits of 5^exponent (after Eisel and Lemire). With
// w' = mantissa << zeros and t = 5^exponent scaled to 128 bits before the point, the table holds
// floor(t), so the true w' * t lies in [product, product + w'): less than one unit of the middle
// 64-bit word above what is computed. The rounding is certain unless that unit decides it, or
// the bits are exactly half way (then the number may be a true tie, or just above one).
bool decimal_to_double(std::uint64_t mantissa, std::int64_t exponent, double& value) noexcept {
  if (mantissa == 0) {
    value = 0.0;
    return true;
  }
  if (exponent < -kMaxPowerOfFive || exponent > kMaxPowerOfFive) return false;
  __extension__ using Product = unsigned __int128;
  const PowerOfFive& power = kPowersOfFive[static_cast<std::size_t>(exponent + kMaxPowerOfFive)];
  const int zeros = std::countl_zero(mantissa);
  mantissa <<= zeros;
  Product product = Product{mantissa} * power.high;
  // What the rest of the power adds is less than 2 in the last place of the upper word, and matters
  // only where the last nine bits of that are all ones or, for a tie, all zeros.
  if (((static_cast<std::uint64_t>(product >> 64) + 1) & 0x1FF) <= 1) [[unlikely]]
    product += Product{mantissa} * power.low >> 64;
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
