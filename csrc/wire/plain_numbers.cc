#include "wire/plain_numbers.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "wire/decimal.h"
#include "wire/number.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slipstream::wire {
namespace {

#if defined(__x86_64__)

#define SLIPSTREAM_AVX512 \
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")]]

// Digits, sign and point of one number; the mantissa has all of its digits.
struct Scanned {
  std::uint64_t mantissa;
  std::uint32_t behind;  // bytes from the point on: a digit more than the fraction has, or 0
  std::uint32_t count;   // digits
  std::uint32_t is_negative;
};

// What a permutation needs to move the first `count` bytes of 32 to the end, those behind them in
// front: 32 of these from `count` on.
alignas(64) constexpr std::array<std::uint8_t, 64> kRamp = [] {
  std::array<std::uint8_t, 64> ramp{};
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint8_t>(i % 32);
  return ramp;
}();

// The value of 24 digits, one a byte, in the last 24 bytes; those before are 0. Pairs, then fours,
// then eights.
SLIPSTREAM_AVX512 inline std::uint64_t value_of_digits(__m256i digits) noexcept {
  const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(10 | 1 << 8));
  const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(100 | 1 << 16));
  const __m256i packed = _mm256_packus_epi32(fours, fours);
  const __m256i eights = _mm256_madd_epi16(packed, _mm256_set1_epi32(10000 | 1 << 16));
  const auto first = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm256_castsi256_si128(eights)));
  const auto last =
      static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1)));
  return (first >> 32) * 10'000'000'000'000'000 + (last & 0xFFFFFFFF) * 100'000'000 + (last >> 32);
}

// Bytes that the loop compares with. The compiler would make them anew for every number, so it is
// told not to know where they come from.
struct Constants {
  __m256i zero = _mm256_set1_epi8('0');
  __m256i nine = _mm256_set1_epi8(9);
  __m256i point = _mm256_set1_epi8('.');

  SLIPSTREAM_AVX512 Constants() noexcept { asm("" : "+v"(zero), "+v"(nine), "+v"(point)); }
};

// The number of `size` bytes at `at`, at most 31, which `text` begins with. False if it is not
// plain.
SLIPSTREAM_AVX512 [[gnu::always_inline]] inline bool scan_plain(const char* at, __m256i text,
                                                                std::uint32_t size,
                                                                const Constants& constants,
                                                                Scanned& number) noexcept {
  const std::uint32_t is_negative = *at == '-' ? 1 : 0;
  const __m256i digits = _mm256_sub_epi8(text, constants.zero);
  const std::uint32_t are_digits = _bzhi_u32(_mm256_cmple_epu8_mask(digits, constants.nine), size);
  const std::uint32_t point = _bzhi_u32(_mm256_cmpeq_epi8_mask(text, constants.point), size);
  // Nothing but a sign in front, digits, and one point.
  if ((are_digits | point | is_negative) != _bzhi_u32(~0U, size)) return false;
  const std::uint32_t behind_whole = _tzcnt_u32(point | 1U << size);
  const std::uint32_t behind = size - behind_whole;
  const std::uint32_t whole = behind_whole - is_negative;
  const auto count = static_cast<std::uint32_t>(std::popcount(are_digits));
  if (count > kExactDigits || whole == 0 || behind == 1) return false;
  if (((point & (point - 1)) != 0) | ((whole > 1) & (at[is_negative] == '0'))) return false;
  const __m256i packed = _mm256_maskz_compress_epi8(are_digits, digits);
  const __m256i ramp = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&kRamp[count]));
  number = {value_of_digits(_mm256_maskz_permutexvar_epi8(~0U, ramp, packed)), behind, count,
            is_negative};
  return true;
}

// 10^-fraction, to multiply with (as decimal.h does in full) or its inverse to divide by.
struct Power {
  std::uint64_t high;      // the first 64 bits of 5^-fraction
  std::uint64_t exponent;  // of the product, biased
  double divisor;          // exact
};

// By Scanned::behind.
constexpr std::array<Power, kExactDigits + 2> kPowers = [] {
  std::array<Power, kExactDigits + 2> powers{};
  for (std::size_t behind = 0; behind < powers.size(); ++behind) {
    const std::int64_t fraction = behind == 0 ? 0 : static_cast<std::int64_t>(behind) - 1;
    powers[behind] = {kPowersOfFive[static_cast<std::size_t>(kMaxPowerOfFive - fraction)].high,
                      static_cast<std::uint64_t>(number_detail::biased_exponent(-fraction)),
                      number_detail::kExactPowers[static_cast<std::size_t>(fraction)]};
  }
  return powers;
}();

// mantissa / 10^fraction as bits. False, for one number in 250: decimal.h has to look at it.
[[gnu::always_inline]] inline bool bits_of(std::uint64_t mantissa, const Power& power,
                                           std::uint64_t& bits) noexcept {
  __extension__ using Product = unsigned __int128;
  if (mantissa == 0) return false;
  const auto zeros = static_cast<std::uint64_t>(std::countl_zero(mantissa));
  const auto high = static_cast<std::uint64_t>((Product{mantissa << zeros} * power.high) >> 64);
  // What the rest of the power would add is less than 2 in the last place of `high`. Unless the
  // last nine bits are all ones it does not reach the bits that count, and unless they are all
  // zeros this is no tie.
  if (((high + 1) & 0x1FF) <= 1) [[unlikely]]
    return false;
  const std::uint64_t top = high >> 63;
  const std::uint64_t twice = high >> (9 + top);  // the mantissa and one bit more
  bits = ((power.exponent - zeros + top) << 52) + ((twice + (twice & 1)) >> 1);
  return true;
}

// mantissa / 10^fraction, rounded correctly. False, rarely: for parse_double to tell.
[[gnu::always_inline]] inline bool value_of(const Scanned& number, double& value) noexcept {
  constexpr std::uint32_t kExactInDouble = 15;  // digits
  const Power& power = kPowers[number.behind];
  std::uint64_t bits;
  if (number.count <= kExactInDouble) {
    const auto mantissa = static_cast<double>(static_cast<std::int64_t>(number.mantissa));
    bits = std::bit_cast<std::uint64_t>(mantissa / power.divisor);
  } else if (!bits_of(number.mantissa, power, bits)) [[unlikely]] {
    const std::int64_t fraction = number.behind == 0 ? 0 : std::int64_t{number.behind} - 1;
    double magnitude;
    if (!number_detail::decimal_to_double(number.mantissa, -fraction, magnitude)) return false;
    bits = std::bit_cast<std::uint64_t>(magnitude);
  }
  value = std::bit_cast<double>(bits ^ std::uint64_t{number.is_negative} << 63);
  return true;
}

// The 32 bytes from `at` on; zeros behind the end of the document.
SLIPSTREAM_AVX512 [[gnu::always_inline]] inline __m256i load_text(const char* at,
                                                                  const char* end) noexcept {
  if (end - at >= 32) [[likely]]
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  return _mm256_maskz_loadu_epi8(_bzhi_u32(~0U, static_cast<std::uint32_t>(end - at)), at);
}

// The commas and closing brackets among the next 64 bytes.
SLIPSTREAM_AVX512 [[gnu::always_inline]] inline std::uint64_t find_ends(const char* at,
                                                                        const char* end) noexcept {
  const auto left = static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(end - at, 64));
  const __m512i text = left == 64 ? _mm512_loadu_si512(at)
                                  : _mm512_maskz_loadu_epi8(_bzhi_u64(~std::uint64_t{0}, left), at);
  return _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(',')) |
         _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(']'));
}

template <class T>
SLIPSTREAM_AVX512 [[gnu::always_inline]] inline bool read_one(const char* at, const char* end,
                                                              std::ptrdiff_t size,
                                                              const Constants& constants,
                                                              T& element) noexcept {
  Scanned number;
  double value;
  if (size >= 32) return false;
  if (!scan_plain(at, load_text(at, end), static_cast<std::uint32_t>(size), constants, number) ||
      !value_of(number, value)) {
    return false;
  }
  element = static_cast<T>(value);
  if constexpr (std::is_same_v<T, float>) return !std::isinf(element);
  return true;
}

// First where numbers end, 64 bytes at a time, then what they are: so that one does not have to
// wait for the end of the one before.
template <class T>
SLIPSTREAM_AVX512 PlainRun<T> read_avx512(const char* at, const char* end, T* next,
                                          T* limit) noexcept {
  const Constants constants;
  for (;;) {
    const char* const window = at;
    std::uint64_t ends = find_ends(window, end);
    if (ends == 0) return {at, next, false};
    do {
      const char* const behind = window + _tzcnt_u64(ends);
      if (next == limit || !read_one(at, end, behind - at, constants, *next))
        return {at, next, false};
      ++next;
      at = behind + 1;
      if (*behind == ']') return {at, next, true};
      if (at != end && *at == ' ') ++at;
      ends = _blsr_u64(ends);
    } while (ends != 0);
  }
}

bool has_avx512() noexcept {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
         __builtin_cpu_supports("avx512vbmi2") != 0 && __builtin_cpu_supports("popcnt") != 0 &&
         __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
}

const bool kHasAvx512 = has_avx512();

#endif

template <class T>
PlainRun<T> read_any(const char* at, [[maybe_unused]] const char* end, T* next,
                     [[maybe_unused]] T* limit) noexcept {
#if defined(__x86_64__)
  if (kHasAvx512) return read_avx512(at, end, next, limit);
#endif
  return {at, next, false};
}

}  // namespace

bool can_read_plain() noexcept {
#if defined(__x86_64__)
  return kHasAvx512;
#else
  return false;
#endif
}

PlainRun<double> read_plain(const char* at, const char* end, double* next, double* limit) noexcept {
  return read_any(at, end, next, limit);
}

PlainRun<float> read_plain(const char* at, const char* end, float* next, float* limit) noexcept {
  return read_any(at, end, next, limit);
}

}  // namespace slipstream::wire
