// float16 and bfloat16 as their bits: rounding a double to them, and back. The compiler of the
// reference platform has no portable types for either.
#pragma once

#include <bit>
#include <cstdint>

namespace slipstream::wire {

// A binary floating-point type of 16 bits.
template <int kExponentBits>
struct SmallFloat {
  static constexpr int kMantissaBits = 15 - kExponentBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr std::uint16_t kInfinity =
      static_cast<std::uint16_t>(((1 << kExponentBits) - 1) << kMantissaBits);
  static constexpr std::uint16_t kQuietNan =
      static_cast<std::uint16_t>(kInfinity | (1 << (kMantissaBits - 1)));

  std::uint16_t bits = 0;

  // Rounded to nearest even in one step (by way of float it could round twice). Values too large
  // become infinity.
  [[nodiscard]] static SmallFloat from_double(double value) noexcept {
    constexpr int kDropped = 52 - kMantissaBits;
    const auto wide = std::bit_cast<std::uint64_t>(value);
    const auto sign = static_cast<std::uint16_t>(wide >> 48 & 0x8000);
    const int exponent = static_cast<int>(wide >> 52 & 0x7FF) - 1023;
    std::uint64_t mantissa = wide & ((std::uint64_t{1} << 52) - 1);
    if (exponent == 1024) {
      return {static_cast<std::uint16_t>(sign | (mantissa != 0 ? kQuietNan : kInfinity))};
    }
    int drop = kDropped;
    std::uint64_t exponent_field = 0;
    const int biased = exponent + kBias;
    if (biased >= 1) {
      exponent_field = static_cast<std::uint64_t>(biased);
    } else {  // subnormal in this type: the hidden bit becomes visible
      mantissa |= std::uint64_t{1} << 52;
      drop += 1 - biased;
      if (drop > 54) return {sign};  // less than half of the smallest
    }
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    const std::uint64_t rest = mantissa & (2 * half - 1);
    std::uint64_t rounded = (exponent_field << kMantissaBits) + (mantissa >> drop);
    if (rest > half || (rest == half && (rounded & 1) != 0)) ++rounded;  // may carry upwards
    if (rounded > kInfinity) rounded = kInfinity;
    return {static_cast<std::uint16_t>(sign | rounded)};
  }

  [[nodiscard]] float to_float() const noexcept {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
    const std::uint32_t exponent = static_cast<std::uint32_t>(bits & kInfinity) >> kMantissaBits;
    const std::uint32_t mantissa = bits & ((1U << kMantissaBits) - 1);
    if (exponent == (1U << kExponentBits) - 1) {
      return std::bit_cast<float>(sign | 0x7F800000U | mantissa << (23 - kMantissaBits));
    }
    if constexpr (kExponentBits < 8) {
      if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) / kSubnormalScale;
        return sign != 0 ? -magnitude : magnitude;
      }
    }
    constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - kBias);
    return std::bit_cast<float>(sign | (exponent + kRebias) << 23 |
                                mantissa << (23 - kMantissaBits));
  }

  [[nodiscard]] bool is_infinite() const noexcept { return (bits & 0x7FFF) == kInfinity; }

 private:
  // Subnormals are mantissa / 2^(kBias - 1 + kMantissaBits); unused where the exponents match
  // float's.
  static constexpr float kSubnormalScale =
      static_cast<float>(std::uint64_t{1} << ((kBias - 1 + kMantissaBits) % 64));
};

using Float16 = SmallFloat<5>;
using Bfloat16 = SmallFloat<8>;
static_assert(sizeof(Float16) == 2 && sizeof(Bfloat16) == 2);

}  // namespace slipstream::wire
