// Decimal mantissa and exponent to the nearest double. Threads: any; nothing throws.
#pragma once

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
// the exponent is out of the ordinary. Never inlined, across files neither: a loop that seldom
// needs it would lose the registers.
[[nodiscard, gnu::noinline]] bool decimal_to_double(std::uint64_t mantissa, std::int64_t exponent,
                                                    double& value) noexcept;

}  // namespace slipstream::wire::number_detail
