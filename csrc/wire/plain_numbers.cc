#include "wire/plain_numbers.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "wire/number.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slipstream::wire {
namespace {

#if defined(__x86_64__)

#define SLIPSTREAM_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi")]]

// Digits, sign and point of one number; the mantissa has all of its digits.
struct Scanned {
  std::uint64_t mantissa;
  std::uint32_t fraction;  // digits behind the point
  std::uint32_t count;     // digits
  std::uint32_t is_negative;
};

// What the loop keeps in registers. The compiler would rather make these anew for every number, so
// it is told not to know where they come from.
struct Constants {
  __m256i zero;   // '0' in every byte
  __m256i nine;   // 9
  __m256i point;  // '.'
  __m256i ramp;   // 0, 1, 2, ...
  __m256i tens;
  __m256i hundreds;
  __m256i ten_thousands;

  SLIPSTREAM_AVX512 Constants() noexcept
      : zero(_mm256_set1_epi8('0')),
        nine(_mm256_set1_epi8(9)),
        point(_mm256_set1_epi8('.')),
        ramp(_mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                              20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)),
        tens(_mm256_set1_epi16(10 | 1 << 8)),
        hundreds(_mm256_set1_epi32(100 | 1 << 16)),
        ten_thousands(_mm256_set1_epi32(10000 | 1 << 16)) {
    asm(""
        : "+v"(zero), "+v"(nine), "+v"(point), "+v"(ramp), "+v"(tens), "+v"(hundreds),
          "+v"(ten_thousands));
  }
};

// The value of 24 digits, one a byte, in the last 24 bytes; those before are 0. Pairs, then fours,
// then eights.
SLIPSTREAM_AVX512 inline std::uint64_t value_of_digits(__m256i digits,
                                                       const Constants& constants) noexcept {
  const __m256i pairs = _mm256_maddubs_epi16(digits, constants.tens);
  const __m256i fours = _mm256_madd_epi16(pairs, constants.hundreds);
  const __m256i packed = _mm256_packus_epi32(fours, fours);
  const __m256i eights = _mm256_madd_epi16(packed, constants.ten_thousands);
  const auto first = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm256_castsi256_si128(eights)));
  const auto last =
      static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm256_extracti128_si256(eights, 1)));
  return (first >> 32) * 10'000'000'000'000'000 + (last & 0xFFFFFFFF) * 100'000'000 + (last >> 32);
}

// The number in the 32 bytes of text; how many of them it takes, 0 if it is not plain.
SLIPSTREAM_AVX512 inline std::uint32_t scan_plain(__m256i text, std::uint32_t is_negative,
                                                  const Constants& constants,
                                                  Scanned& number) noexcept {
  const __m256i digits = _mm256_sub_epi8(text, constants.zero);
  const std::uint32_t others = _mm256_cmpgt_epu8_mask(digits, constants.nine);
  const std::uint32_t points = _mm256_cmpeq_epi8_mask(text, constants.point);
  // The first byte that is neither sign nor digit nor the first point. A second point ends a number
  // too, and is no comma.
  const std::uint32_t behind = others & ~_blsi_u32(points) & ~is_negative;
  const std::uint32_t size = _tzcnt_u32(behind);
  const std::uint32_t point = _tzcnt_u32(points);
  const std::uint32_t has_point = point < size ? 1 : 0;
  const std::uint32_t whole_end = point < size ? point : size;
  const std::uint32_t whole = whole_end - is_negative;
  const std::uint32_t fraction = size - whole_end - has_point;
  const std::uint32_t count = whole + fraction;
  if (count > kExactDigits || whole == 0 || fraction < has_point) return 0;
  if (whole > 1 && (_mm256_cmpeq_epi8_mask(text, constants.zero) >> is_negative & 1) != 0) return 0;
  // Digit i belongs into byte 32 - count + i: the text moved by 32 - size bytes, in front of the
  // point by one more. The permutation takes indices modulo 32.
  const __m256i moved = _mm256_add_epi8(constants.ramp, _mm256_set1_epi8(static_cast<char>(size)));
  const __m256i places = _mm256_mask_sub_epi8(moved, 0xFFFFFFFFU >> fraction, moved,
                                              _mm256_set1_epi8(static_cast<char>(has_point)));
  const std::uint32_t kept = 0xFFFFFFFFU << (32 - count);
  number = {value_of_digits(_mm256_maskz_permutexvar_epi8(kept, places, digits), constants),
            fraction, count, is_negative};
  return size;
}

// 10^-fraction for the multiplication that decimal.h does in full.
struct Power {
  std::uint64_t high;      // the first 64 bits of 5^-fraction
  std::uint64_t exponent;  // of the product, biased
};

constexpr std::array<Power, kExactDigits + 1> kPowers = [] {
  std::array<Power, kExactDigits + 1> powers{};
  for (std::int64_t fraction = 0; fraction <= kExactDigits; ++fraction) {
    powers[static_cast<std::size_t>(fraction)] = {
        kPowersOfFive[static_cast<std::size_t>(kMaxPowerOfFive - fraction)].high,
        static_cast<std::uint64_t>(number_detail::biased_exponent(-fraction))};
  }
  return powers;
}();

// mantissa / 10^fraction as bits. False, for one number in 250: decimal.h has to look at it.
[[gnu::always_inline]] inline bool bits_of(std::uint64_t mantissa, std::uint32_t fraction,
                                           std::uint64_t& bits) noexcept {
  __extension__ using Product = unsigned __int128;
  if (mantissa == 0) return false;
  const Power& power = kPowers[fraction];
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
  std::uint64_t bits;
  if (number.count <= kExactInDouble) {
    bits = std::bit_cast<std::uint64_t>(static_cast<double>(number.mantissa) /
                                        number_detail::kExactPowers[number.fraction]);
  } else if (!bits_of(number.mantissa, number.fraction, bits)) [[unlikely]] {
    double magnitude;
    if (!number_detail::decimal_to_double(number.mantissa,
                                          -static_cast<std::int64_t>(number.fraction), magnitude)) {
      return false;
    }
    bits = std::bit_cast<std::uint64_t>(magnitude);
  }
  value = std::bit_cast<double>(bits ^ std::uint64_t{number.is_negative} << 63);
  return true;
}

// One number; false if it, or what stands behind it, is not plain. Otherwise `at` moves behind the
// comma or bracket.
template <bool kIsTail, class T>
SLIPSTREAM_AVX512 [[gnu::always_inline]] inline bool read_one(const char*& at, const char* end,
                                                              T& element,
                                                              const Constants& constants) noexcept {
  __m256i text;
  if constexpr (kIsTail) {  // zeros behind the end of the document
    const auto left = static_cast<std::uint32_t>(end - at);
    if (left == 0) return false;
    text = _mm256_maskz_loadu_epi8(0xFFFFFFFFU >> (32 - left), at);
  } else {
    text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  Scanned number;
  const std::uint32_t size = scan_plain(text, *at == '-' ? 1 : 0, constants, number);
  const char* const behind = at + size;
  if (size == 0 || (kIsTail && behind == end)) return false;
  if (*behind != ',' && *behind != ']') return false;
  double value;
  if (!value_of(number, value)) return false;
  element = static_cast<T>(value);
  if constexpr (std::is_same_v<T, float>) {
    if (std::isinf(element)) return false;
  }
  at = behind + 1;
  return true;
}

template <class T>
SLIPSTREAM_AVX512 PlainRun<T> read_avx512(const char* at, const char* end, T* next,
                                          T* limit) noexcept {
  const Constants constants;
  while (next != limit) {
    const bool is_read = end - at > 32 ? read_one<false>(at, end, *next, constants)
                                       : read_one<true>(at, end, *next, constants);
    if (!is_read) break;
    ++next;
    if (at[-1] == ']') return {at, next, true};
  }
  return {at, next, false};
}

bool has_avx512() noexcept {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
         __builtin_cpu_supports("bmi") != 0;
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

PlainRun<double> read_plain(const char* at, const char* end, double* next, double* limit) noexcept {
  return read_any(at, end, next, limit);
}

PlainRun<float> read_plain(const char* at, const char* end, float* next, float* limit) noexcept {
  return read_any(at, end, next, limit);
}

}  // namespace slipstream::wire
