// float16 and bfloat16: every pattern, and rounding by its definition.
#include <cmath>
#include <cstdint>

#include "harness.h"
#include "wire/half.h"

using namespace slipstream::wire;

TEST(halves_round_trip) {
  for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const auto word = static_cast<std::uint16_t>(pattern);
    const Float16 half{word};
    const Bfloat16 brain{word};
    if (!std::isnan(half.to_float())) CHECK_EQ(Float16::from_double(half.to_float()).bits, word);
    if (!std::isnan(brain.to_float())) CHECK_EQ(Bfloat16::from_double(brain.to_float()).bits, word);
  }
  CHECK(std::isnan(Float16::from_double(std::nan("")).to_float()));
  CHECK(std::isnan(Bfloat16::from_double(std::nan("")).to_float()));
}

// Rounding by its definition: between two neighbours the nearer one, the even one half way.
TEST(halves_round_to_nearest_even) {
  for (std::uint16_t pattern = 0; pattern < Float16::kInfinity - 1; ++pattern) {
    const double low = Float16{pattern}.to_float();
    const double high = Float16{static_cast<std::uint16_t>(pattern + 1)}.to_float();
    const double middle = (low + high) / 2;
    const auto even = static_cast<std::uint16_t>(pattern + (pattern & 1));
    CHECK_EQ(Float16::from_double(middle).bits, even);
    CHECK_EQ(Float16::from_double(std::nextafter(middle, 0.0)).bits, pattern);
    CHECK_EQ(Float16::from_double(std::nextafter(middle, 1e9)).bits, pattern + 1);
    CHECK_EQ(Float16::from_double(-middle).bits, even | 0x8000);
  }
  CHECK_EQ(Float16::from_double(65519.99).to_float(), 65504.0F);
  CHECK(Float16::from_double(65520).is_infinite());
  CHECK(Float16::from_double(1e300).is_infinite());
  CHECK(Bfloat16::from_double(-3.4e38).is_infinite());
  CHECK_EQ(Float16::from_double(1e-300).bits, 0);
  CHECK_EQ(Float16::from_double(-5e-324).bits, 0x8000);
  CHECK_EQ(Float16::from_double(1.0).bits, 0x3C00);
  CHECK_EQ(Bfloat16::from_double(1.0).bits, 0x3F80);
  // By way of float this would round up twice: 1 + 2^-11 + 2^-40.
  CHECK_EQ(Float16::from_double(1.0 + 0x1p-11 + 0x1p-40).bits, 0x3C01);
  CHECK_EQ(Float16::from_double(1.0 + 0x1p-11 - 0x1p-40).bits, 0x3C00);
}
