#include "wire/number.h"

#include <charconv>
#include <limits>
#include <system_error>

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
