#include "wire/number.h"

#include <charconv>
#include <limits>
#include <system_error>

#include "wire/powers_of_five.h"

namespace slipstream::wire {
namespace number_detail {

static_assert(std::numeric_limits<double>::is_iec559);

const char* take_exponent(const char* next, const char* end, Decimal& decimal) noexcept {
  ++next;
  const bool negative = next != end && *next == '-';
  if (next != end && (*next == '-' || *next == '+')) ++next;
  const char* const first = next;
  // Far beyond any document that fits in memory, and far from overflow: 0.000…1e… may cancel out.
  constexpr std::int64_t kSaturated = 1'000'000'000'000'000;
  std::int64_t exponent = 0;
  for (; next != end && is_digit(*next); ++next) {
    if (exponent < kSaturated) exponent = exponent * 10 + (*next - '0');
  }
  if (next == first) return nullptr;
  decimal.exponent += negative ? -exponent : exponent;
  return next;
}

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

  // floor(q * log2(10)), exact for |q| <= kMaxPowerOfFive and far beyond.
  const int log2_of_power = static_cast<int>((exponent * 217706) >> 16);
  const int binary_exponent = 1 + log2_of_power - zeros + shift;
  // Adding the hidden bit carries a mantissa that rounded up to 2^53 into the exponent.
  const auto biased = static_cast<std::uint64_t>(binary_exponent + 52 + 1023 - 1);
  value = std::bit_cast<double>((biased << 52) + rounded);
  return true;
}

namespace {

// Whether the number in [begin, end), known not to be zero, is 1 or more; tells an overflow from an
// underflow.
bool at_least_one(const char* begin, const char* end) noexcept {
  const char* next = begin + (*begin == '-' ? 1 : 0);
  std::int64_t whole_digits = 0;  // digits between the first that counts and the point; or less
  bool behind_point = false;
  bool counting = false;
  for (; next != end && *next != 'e' && *next != 'E'; ++next) {
    if (*next == '.') {
      behind_point = true;
      continue;
    }
    counting |= *next != '0';
    if (counting && !behind_point) ++whole_digits;
    if (!counting && behind_point) --whole_digits;
  }
  Decimal decimal;
  if (next != end) (void)take_exponent(next, end, decimal);
  return whole_digits + decimal.exponent > 0;
}

}  // namespace

bool slow_to_double(const char* begin, const char* end, double& value) noexcept {
  const auto [next, error] = std::from_chars(begin, end, value, std::chars_format::general);
  if (error == std::errc{}) return true;
  if (at_least_one(begin, end)) return false;
  value = *begin == '-' ? -0.0 : 0.0;
  return true;
}

}  // namespace number_detail

Parsed parse_integer_slow(const char* begin, const char* end, Integer& integer) noexcept {
  double approximate = 0;
  const Parsed number = parse_double(begin, end, approximate);
  if (number.fault != Fault::kNone) return number;
  Decimal decimal;
  (void)scan_number(begin, end, decimal);

  // Digits from the first to the last that is not zero, and the power of ten of that last one.
  const char* first = nullptr;
  const char* last = nullptr;
  std::int64_t trailing_zeros = 0;
  for (const char* c = begin; c != number.next && *c != 'e' && *c != 'E'; ++c) {
    if (!number_detail::is_digit(*c)) continue;
    if (*c == '0') {
      ++trailing_zeros;
      continue;
    }
    if (first == nullptr) first = c;
    last = c;
    trailing_zeros = 0;
  }
  integer = {0, decimal.negative};
  if (first == nullptr) return number;
  std::int64_t exponent = decimal.exponent + trailing_zeros;
  if (exponent < 0) return {begin, Fault::kNotIntegral};
  for (const char* c = first; c <= last; ++c) {
    if (*c == '.') continue;
    if (__builtin_mul_overflow(integer.magnitude, std::uint64_t{10}, &integer.magnitude) ||
        __builtin_add_overflow(integer.magnitude, static_cast<std::uint64_t>(*c - '0'),
                               &integer.magnitude)) {
      return {begin, Fault::kBeyondType};
    }
  }
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(integer.magnitude, std::uint64_t{10}, &integer.magnitude)) {
      return {begin, Fault::kBeyondType};
    }
  }
  return number;
}

}  // namespace slipstream::wire
