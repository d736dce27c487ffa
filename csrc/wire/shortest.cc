#include "wire/shortest.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

#include "wire/powers_of_five.h"

namespace slipstream::wire {
namespace {

__extension__ using Wide = unsigned __int128;

// digits * 10^exponent.
struct Decimal10 {
  std::uint64_t digits;
  int exponent;
};

// The first 64 bits of `power` * `factor`, with a last bit that tells whether anything was lost.
std::uint64_t round_to_odd(const PowerOfFive& power, std::uint64_t factor) noexcept {
  const Wide low = Wide{power.low} * factor;
  const Wide high = Wide{power.high} * factor + (low >> 64);
  const auto bits = static_cast<std::uint64_t>(high >> 64);
  return bits | (static_cast<std::uint64_t>(high) > 1 ? 1 : 0);
}

// The shortest decimal between the neighbours of mantissa * 2^exponent. False if the power of ten
// that takes is not in the table. `is_lower_closer`: the mantissa is a power of two, so that the
// number below is nearer.
bool shortest_decimal(std::uint64_t mantissa, int exponent, bool is_lower_closer,
                      Decimal10& decimal) noexcept {
  // floor(log10(2^exponent)), or of 3/4 of it; floor(log2(10^-scale)).
  const int scale = (exponent * 1262611 - (is_lower_closer ? 524031 : 0)) >> 22;
  if (scale > 0 || scale < -static_cast<int>(kMaxPowerOfFive)) return false;
  const PowerOfFive& power = kPowersOfFive[static_cast<std::size_t>(kMaxPowerOfFive - scale)];
  const int shift = exponent + ((-scale * 1741647) >> 19) + 1;

  const bool is_odd = mantissa % 2 != 0;  // then its bounds read back as its neighbours
  const std::uint64_t middle = 4 * mantissa;
  const std::uint64_t value = round_to_odd(power, middle << shift);
  const std::uint64_t below =
      round_to_odd(power, (middle - (is_lower_closer ? 1 : 2)) << shift) + (is_odd ? 1 : 0);
  const std::uint64_t above = round_to_odd(power, (middle + 2) << shift) - (is_odd ? 1 : 0);

  const std::uint64_t digits = value / 4;
  const std::uint64_t tens = digits / 10;
  const bool is_tens_inside = below <= 40 * tens;
  const bool is_next_inside = 40 * tens + 40 <= above;
  if (is_tens_inside != is_next_inside) {
    decimal = {tens + (is_next_inside ? 1 : 0), scale + 1};
    return true;
  }
  const bool is_digits_inside = below <= 4 * digits;
  const bool is_digits_next_inside = 4 * digits + 4 <= above;
  std::uint64_t up = is_digits_next_inside ? 1 : 0;
  if (is_digits_inside == is_digits_next_inside) {
    const std::uint64_t half = 4 * digits + 2;
    up = value > half || (value == half && digits % 2 != 0) ? 1 : 0;
  }
  decimal = {digits + up, scale};
  return true;
}

// Eight decimal digits, the most significant in the lowest byte.
std::uint64_t bytes_of_digits(std::uint64_t value) noexcept {
  const std::uint64_t fours = value / 10'000 | (value % 10'000) << 32;
  const std::uint64_t hundreds = ((fours * 5243) >> 19) & 0x0000007F0000007F;
  const std::uint64_t pairs = hundreds | (fours - 100 * hundreds) << 16;
  const std::uint64_t tens = ((pairs * 103) >> 10) & 0x000F000F000F000F;
  return tens | (pairs - 10 * tens) << 8;
}

// Digits without zeros at either end, as text that is kept in registers: what was just written to
// memory in other pieces could only be read back slowly.
class DigitText {
 public:
  // At most 17 digits, not 0.
  explicit DigitText(Decimal10 decimal) noexcept {
    constexpr std::uint64_t kEight = 100'000'000;
    constexpr std::uint64_t kZeros = 0x3030303030303030;
    const std::uint64_t first = decimal.digits / (kEight * kEight);
    const std::uint64_t rest = decimal.digits % (kEight * kEight);
    const std::uint64_t high = bytes_of_digits(rest / kEight);
    const std::uint64_t low = bytes_of_digits(rest % kEight);
    const int in_front = first != 0  ? 0
                         : high != 0 ? std::countr_zero(high) / 8
                                     : 8 + std::countr_zero(low) / 8;
    const int behind = low != 0    ? std::countl_zero(low) / 8
                       : high != 0 ? 8 + std::countl_zero(high) / 8
                                   : 16;
    first_ = static_cast<char>('0' + first);
    extra_ = first != 0 ? 1 : 0;
    rest_ = (Wide{low | kZeros} << 64 | (high | kZeros)) >> (8 * in_front);
    length_ = extra_ + 16 - in_front - behind;
    exponent_ = decimal.exponent + behind;
  }

  // As std::to_chars chooses: in full unless that is longer than with an exponent.
  char* write(char* out) const noexcept {
    const int only = length_ == 1 ? 1 : 0;
    if (exponent_ < -(length_ + 3) + only || exponent_ > 5 - only) return write_scientific(out);
    const int whole = length_ + exponent_;
    if (exponent_ >= 0) {
      put(out);
      std::memcpy(out + length_, "00000000", 8);
      std::memcpy(out + whole, ".0", 2);
      return out + whole + 2;
    }
    if (whole > 0) return write_with_point(out, whole);
    std::memcpy(out, "0.000000", 8);
    put(out + 2 - whole);
    return out + 2 - whole + length_;
  }

 private:
  // All digits, and some bytes behind them.
  void put(char* out) const noexcept {
    *out = first_;
    store(out + extra_, rest_);
  }
  static void store(char* out, Wide bytes) noexcept { std::memcpy(out, &bytes, sizeof bytes); }

  // With a point behind `whole` of the digits, more than 0.
  char* write_with_point(char* out, int whole) const noexcept {
    put(out);
    const int place = whole - extra_;  // in rest_, which is longer than that if there is a fraction
    if (place < 16) store(out + whole + 1, rest_ >> (8 * place));
    out[whole] = '.';
    return out + length_ + 1;
  }

  char* write_scientific(char* out) const noexcept {
    if (length_ > 1) {
      out = write_with_point(out, 1);
    } else {
      put(out);
      ++out;
    }
    const int exponent = exponent_ + length_ - 1;
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    const int magnitude = exponent < 0 ? -exponent : exponent;  // below 100, as the table is
    *out++ = static_cast<char>('0' + magnitude / 10);
    *out++ = static_cast<char>('0' + magnitude % 10);
    return out;
  }

  Wide rest_;   // the last 16 digits or fewer, the first of them in the lowest byte
  char first_;  // the one in front of them
  int extra_;   // 1 if there is one
  int length_;  // digits
  int exponent_;
};

static_assert(std::endian::native == std::endian::little, "the lowest byte is written first");

template <class T>
char* write_slowly(T value, char* out) noexcept {
  char* const end = std::to_chars(out, out + kShortestRoom, value).ptr;
  const std::string_view text(out, static_cast<std::size_t>(end - out));
  if (text.find_first_of(".e") != std::string_view::npos) return end;
  std::memcpy(end, ".0", 2);
  return end + 2;
}

template <class T, class Bits>
char* write(T value, char* out) noexcept {
  constexpr int kMantissaBits = std::numeric_limits<T>::digits - 1;
  constexpr int kExponentMask = (1 << (8 * sizeof(T) - 1 - kMantissaBits)) - 1;
  const auto bits = std::bit_cast<Bits>(value);
  const std::uint64_t fraction = bits & ((Bits{1} << kMantissaBits) - 1);
  const int field = static_cast<int>(bits >> kMantissaBits) & kExponentMask;
  const int exponent = field - kExponentMask / 2 - kMantissaBits;
  if (field == 0 || exponent >= 0) {
    if (value != 0) return write_slowly(value, out);
    std::memcpy(out, "-0.0", 4);
    return std::signbit(value) ? out + 4 : std::copy_n("0.0", 3, out);
  }
  const std::uint64_t mantissa = fraction | std::uint64_t{1} << kMantissaBits;
  Decimal10 decimal{mantissa >> (-exponent & 63), 0};
  const bool is_integer =
      -exponent <= kMantissaBits && decimal.digits << (-exponent & 63) == mantissa;
  if (!is_integer && !shortest_decimal(mantissa, exponent, fraction == 0 && field > 1, decimal)) {
    return write_slowly(value, out);
  }
  *out = '-';
  return DigitText(decimal).write(out + (std::signbit(value) ? 1 : 0));
}

}  // namespace

char* write_shortest(double value, char* out) noexcept {
  return write<double, std::uint64_t>(value, out);
}

char* write_shortest(float value, char* out) noexcept {
  return write<float, std::uint32_t>(value, out);
}

}  // namespace slipstream::wire
