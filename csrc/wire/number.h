// JSON numbers to double and to 64-bit integers, exactly. The hottest code of a request with many
// numbers, so the common cases are inline: digits eight at a time, then one exact multiplication or
// division (Clinger 1990). Up to 19 digits with an ordinary exponent take one 64 x 128 bit product
// (number.cc); everything else goes to std::from_chars. All three round to nearest even, the same
// answer as strtod gives; tests/cpp/test_wire_number.cc compares them.
//
// Threads: any. Nothing allocates; nothing throws. The grammar is JSON's: no '+', no leading zeros,
// no bare point, no hex, no NaN. What follows the number is the caller's to check ("01" reads as 0
// followed by "1").
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/decimal.h"
#include "wire/fault.h"

namespace slipstream::wire {

// A number as written: (-1)^negative * mantissa * 10^exponent, if digits <= kExactDigits; with more
// digits the mantissa has wrapped around and means nothing.
struct Decimal {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;
  std::ptrdiff_t digits = 0;  // significant ones, or more by some leading zeros
  bool negative = false;
};

inline constexpr std::ptrdiff_t kExactDigits = 19;  // 10^19 - 1 < 2^64

namespace number_detail {

inline constexpr std::array<std::uint64_t, 9> kSmallPowers{
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

// Powers of ten that a double holds exactly.
inline constexpr std::array<double, 23> kExactPowers{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr std::int64_t kMaxExactPower = 22;

constexpr std::uint64_t kEachByte = 0x0101010101010101;

[[nodiscard]] inline bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Eight decimal digits, one a byte, the most significant in the lowest byte, to their value: pairs,
// then fours, then eight, by three multiplications.
[[nodiscard]] inline std::uint64_t eight_digits(std::uint64_t digits) noexcept {
  digits = digits * 10 + (digits >> 8);
  constexpr std::uint64_t kPairs = 0x000000FF000000FF;
  constexpr std::uint64_t kHigh = 100 + (std::uint64_t{1'000'000} << 32);
  constexpr std::uint64_t kLow = 1 + (std::uint64_t{10'000} << 32);
  return ((digits & kPairs) * kHigh + ((digits >> 16) & kPairs) * kLow) >> 32;
}

// Appends a run of digits to `value`; returns the first byte that is none.
[[nodiscard]] inline const char* take_digits(const char* next, const char* end,
                                             std::uint64_t& value) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    while (end - next >= 8) {
      std::uint64_t word;
      std::memcpy(&word, next, sizeof word);
      word ^= kEachByte * '0';  // digits become 0..9, everything else more
      // The top bit of every byte above 9. A carry can only spoil bytes behind the first such one.
      const std::uint64_t others = ((word + kEachByte * (0x80 - 10)) | word) & (kEachByte * 0x80);
      if (others == 0) {
        value = value * kSmallPowers[8] + eight_digits(word);
        next += 8;
        continue;
      }
      const unsigned count = static_cast<unsigned>(std::countr_zero(others)) / 8;
      if (count == 0) return next;
      // Shifting left puts zeros, as digits, in front.
      value = value * kSmallPowers[count] + eight_digits(word << (64 - 8 * count));
      return next + count;
    }
  }
  for (; next != end && is_digit(*next); ++next) {
    value = value * 10 + static_cast<std::uint64_t>(*next - '0');
  }
  return next;
}

// Reads "e-12" at `next` into decimal.exponent; nullptr if digits are missing.
[[nodiscard]] const char* take_exponent(const char* next, const char* end,
                                        Decimal& decimal) noexcept;

// The number in [begin, end), any length. False when it is beyond the range of a double.
[[nodiscard]] bool slow_to_double(const char* begin, const char* end, double& value) noexcept;

}  // namespace number_detail

// Steps over one number; nullptr if there is none at `next`.
[[nodiscard]] inline const char* scan_number(const char* next, const char* end,
                                             Decimal& decimal) noexcept {
  using namespace number_detail;
  if (next != end && *next == '-') {
    decimal.negative = true;
    ++next;
  }
  if (next == end || !is_digit(*next)) return nullptr;
  if (*next == '0') {
    ++next;
  } else {
    const char* const whole = next;
    next = take_digits(next, end, decimal.mantissa);
    decimal.digits = next - whole;
  }
  if (next != end && *next == '.') {
    const char* const fraction = ++next;
    next = take_digits(next, end, decimal.mantissa);
    if (next == fraction) return nullptr;
    const bool below_one = decimal.digits == 0;
    decimal.digits += next - fraction;
    if (below_one && decimal.digits > kExactDigits) [[unlikely]] {
      for (const char* c = fraction; c != next && *c == '0'; ++c) --decimal.digits;
    }
    decimal.exponent = fraction - next;
  }
  if (next != end && (*next == 'e' || *next == 'E')) next = take_exponent(next, end, decimal);
  return next;
}

// One number as a double. Faults: kSyntax, kBeyondDouble. Too small a number is zero, with its
// sign.
[[nodiscard]] inline Parsed parse_double(const char* begin, const char* end,
                                         double& value) noexcept {
  using namespace number_detail;
  Decimal decimal;
  const char* const next = scan_number(begin, end, decimal);
  if (next == nullptr) return {begin, Fault::kSyntax};
  if (decimal.digits <= kExactDigits) [[likely]] {
    constexpr std::uint64_t kExactIntegers = std::uint64_t{1} << 53;
    double magnitude;
    if (decimal.mantissa <= kExactIntegers && decimal.exponent >= -kMaxExactPower &&
        decimal.exponent <= kMaxExactPower) [[likely]] {
      // Both operands are exact, so the one rounding of the operation is the only one.
      const double mantissa = static_cast<double>(decimal.mantissa);
      magnitude = decimal.exponent < 0
                      ? mantissa / kExactPowers[static_cast<std::size_t>(-decimal.exponent)]
                      : mantissa * kExactPowers[static_cast<std::size_t>(decimal.exponent)];
      value = decimal.negative ? -magnitude : magnitude;
      return {next, Fault::kNone};
    }
    if (decimal_to_double(decimal.mantissa, decimal.exponent, magnitude)) {
      value = decimal.negative ? -magnitude : magnitude;
      return {next, Fault::kNone};
    }
  }
  if (!slow_to_double(begin, next, value)) return {begin, Fault::kBeyondDouble};
  return {next, Fault::kNone};
}

struct Integer {
  std::uint64_t magnitude = 0;
  bool negative = false;  // may be set with magnitude 0 ("-0")
};

// Numbers that are not plain digits, or too many of them: "1.0", "1e3", "18446744073709551615".
[[nodiscard]] Parsed parse_integer_slow(const char* begin, const char* end,
                                        Integer& integer) noexcept;

// One number whose value is an integer, however it is written ("1", "1.0", "1e3"), exactly. Faults:
// kSyntax, kBeyondDouble, kNotIntegral, kBeyondType (more than 64 bits).
[[nodiscard]] inline Parsed parse_integer(const char* begin, const char* end,
                                          Integer& integer) noexcept {
  Decimal decimal;
  const char* const next = scan_number(begin, end, decimal);
  if (next == nullptr) return {begin, Fault::kSyntax};
  if (decimal.digits > kExactDigits || decimal.exponent != 0) {
    return parse_integer_slow(begin, next, integer);
  }
  integer = {decimal.mantissa, decimal.negative};
  return {next, Fault::kNone};
}

}  // namespace slipstream::wire
