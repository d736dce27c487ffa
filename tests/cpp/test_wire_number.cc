// Numbers against strtod, bit by bit, and against exact integers: random and hard cases.
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "harness.h"
#include "wire/number.h"

using namespace slipstream::wire;

namespace {

std::uint64_t bits(double value) {
  return std::bit_cast<std::uint64_t>(value);
}

// parse_double and strtod must agree in value (to the bit), in length, and about overflow; at the
// end of the buffer and in front of every byte that may follow a number.
void compare(const std::string& text) {
  char* strtod_end = nullptr;
  const double expected = std::strtod(text.c_str(), &strtod_end);
  REQUIRE(strtod_end == text.c_str() + text.size());
  // A copy of exactly this size, so that ASan sees a read behind the end.
  const std::vector<char> exact(text.begin(), text.end());
  const std::string followed = text + ", 12345678901";
  const char* const begins[] = {exact.data(), followed.data()};
  const char* const ends[] = {exact.data() + exact.size(), followed.data() + followed.size()};
  for (int i = 0; i < 2; ++i) {
    double value = 12345;
    const Parsed parsed = parse_double(begins[i], ends[i], value);
    if (std::isinf(expected)) {
      if (parsed.fault != Fault::kBeyondDouble) CHECK_EQ("overflow of " + text, "not noticed");
      continue;
    }
    if (parsed.fault != Fault::kNone || bits(value) != bits(expected) ||
        parsed.next != begins[i] + text.size()) {
      CHECK_EQ("parse of " + text, "as by strtod");
    }
  }
}

std::string shortest(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string printed(const char* format, int precision, double value) {
  std::string text(static_cast<std::size_t>(1200 + precision), '\0');
  const int length = std::snprintf(text.data(), text.size(), format, precision, value);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

double random_finite(std::mt19937_64& random) {
  for (;;) {
    const double value = std::bit_cast<double>(random());
    if (std::isfinite(value)) return value;
  }
}

std::string random_digits(std::mt19937_64& random, std::size_t count) {
  std::string digits;
  for (std::size_t i = 0; i < count; ++i) digits += static_cast<char>('0' + random() % 10);
  if (digits.size() > 1 && digits[0] == '0') digits[0] = '1';
  return digits;
}

Parsed integer_of(const std::string& text, Integer& integer) {
  return parse_integer(text.data(), text.data() + text.size(), integer);
}

void check_integer(const std::string& text, bool negative, std::uint64_t magnitude) {
  Integer integer;
  const Parsed parsed = integer_of(text, integer);
  if (parsed.fault != Fault::kNone || parsed.next != text.data() + text.size() ||
      integer.magnitude != magnitude || (magnitude != 0 && integer.negative != negative)) {
    CHECK_EQ("integer " + text, "read exactly");
  }
}

void check_integer_fault(const std::string& text, Fault fault) {
  Integer integer;
  if (integer_of(text, integer).fault != fault) CHECK_EQ("integer " + text, "refused");
}

}  // namespace

TEST(simple_numbers) {
  for (const char* text : {"0",
                           "-0",
                           "1",
                           "-1",
                           "0.0",
                           "-0.0",
                           "0.5",
                           "12345678",
                           "123456789",
                           "1e3",
                           "1E+3",
                           "1e-3",
                           "1.5e3",
                           "0e0",
                           "0e999",
                           "-0e-9",
                           "0.000",
                           "1e22",
                           "1e23",
                           "9007199254740993",
                           "0.1",
                           "3.14159265358979",
                           "1234567.12345678",
                           "0.30000000000000004",
                           "179.76931348623157e306",
                           "4.9e-324",
                           "100000000000000000000"}) {
    compare(text);
  }
}

TEST(syntax) {
  for (const std::string text : {"", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1e-", "-.5", "e5",
                                 "--1", "-e", "NaN", "Infinity", "-Infinity", "abc", " 1", "1.x"}) {
    double value = 0;
    const Parsed parsed = parse_double(text.data(), text.data() + text.size(), value);
    CHECK(parsed.fault == Fault::kSyntax);
    CHECK(parsed.next == text.data());
  }
}

TEST(stops_behind_the_number) {
  for (const std::string text : {"01", "00.5", "0x10", "-01"}) {
    double value = 1;
    const Parsed parsed = parse_double(text.data(), text.data() + text.size(), value);
    CHECK(parsed.fault == Fault::kNone);
    CHECK_EQ(parsed.next - text.data(), text[0] == '-' ? 2 : 1);
    CHECK_EQ(value, 0.0);
  }
}

TEST(range) {
  for (const char* text : {"1e308",
                           "1.7976931348623157e308",
                           "1.7976931348623158e308",
                           "1.7976931348623159e308",
                           "1e309",
                           "-1e309",
                           "1e999",
                           "-1e999",
                           "1e99999999999999999999999",
                           "2e308",
                           "4.9e-324",
                           "2.4703282292062327e-324",
                           "2.4703282292062328e-324",
                           "2.5e-324",
                           "1e-323",
                           "1e-999",
                           "-1e-999",
                           "1e-99999999999999999999999",
                           "2.2250738585072011e-308",
                           "2.2250738585072014e-308",
                           "0.000000000000000000000000001e-400",
                           "1000000000e-333"}) {
    compare(text);
  }
  compare(std::string(400, '9'));
  compare("0." + std::string(400, '0') + "1");
  compare("0." + std::string(400, '0') + "1e401");
  compare("0." + std::string(400, '0') + "1e900");
  compare("1" + std::string(400, '0') + "e-400");
  compare("1" + std::string(400, '0') + ".5e-900");
}

TEST(every_power_of_ten) {
  for (int exponent = -345; exponent <= 310; ++exponent) {
    const std::string suffix = "e" + std::to_string(exponent);
    for (const char* mantissa : {"1", "-1", "9", "1234567890123456789", "9999999999999999999",
                                 "18446744073709551615", "9007199254740993", "9007199254740992"}) {
      compare(mantissa + suffix);
    }
  }
}

TEST(random_doubles_round_trip) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 150'000; ++i) {
    const double value = random_finite(random);
    compare(shortest(value));
    compare(printed("%.*e", 16, value));
  }
}

TEST(random_ordinary_numbers) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> uniform(-1000, 1000);
  for (int i = 0; i < 200'000; ++i) {
    compare(shortest(uniform(random)));
    compare(shortest(std::ldexp(uniform(random), static_cast<int>(random() % 40) - 30)));
    compare(printed("%.*f", static_cast<int>(random() % 25), uniform(random)));
  }
}

TEST(random_texts) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 150'000; ++i) {
    std::string text = random() % 2 != 0 ? "-" : "";
    text += random_digits(random, 1 + random() % 24);
    if (random() % 4 != 0)
      text += "." + std::string(random() % 4, '0') + random_digits(random, 1 + random() % 24);
    if (random() % 2 != 0) {
      const bool extreme = random() % 4 == 0;
      text += "e" + std::to_string(static_cast<int>(random() % (extreme ? 700 : 60)) -
                                   (extreme ? 350 : 30));
    }
    compare(text);
  }
}

// Exactly half way between two doubles, and a hair above and below: where one wrong bit shows.
TEST(halfway_cases) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 4'000; ++i) {
    double value = std::abs(random_finite(random));
    if (i % 4 == 0) value = std::bit_cast<double>(random() >> (12 + random() % 50));  // subnormal
    if (i % 4 == 1)
      value =
          std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 120) - 90);
    const double above = std::nextafter(value, std::numeric_limits<double>::infinity());
    if (std::isinf(above)) continue;
    const long double middle =
        static_cast<long double>(value) + (static_cast<long double>(above) - value) / 2;
    std::string text(1300, '\0');
    const int length = std::snprintf(text.data(), text.size(), "%.*Le", 780, middle);
    text.resize(static_cast<std::size_t>(length));
    const std::size_t e = text.find('e');
    compare(text);
    const std::string digits = text.substr(0, e);
    const std::string exponent = text.substr(e);
    compare(digits + std::string(random() % 30, '0') + "1" + exponent);
    std::size_t last = digits.find_last_not_of('0');
    if (digits[last] == '.') continue;
    std::string below = digits;
    below[last] = static_cast<char>(below[last] - 1);
    compare(below + "9" + exponent);
    for (const std::size_t cut : {17U, 18U, 19U, 20U, 21U, 30U, 100U}) {
      compare(digits.substr(0, cut + 1) + exponent);
    }
  }
}

TEST(hundreds_of_digits) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 3'000; ++i) {
    std::string text = random_digits(random, 17 + random() % 784);
    const auto magnitude = static_cast<int>(text.size());
    if (random() % 2 != 0) text.insert(1 + random() % (text.size() - 1), ".");
    text += "e" + std::to_string(static_cast<int>(random() % 640) - 330 - magnitude / 2);
    compare(text);
  }
}

TEST(integers) {
  check_integer("0", false, 0);
  check_integer("-0", true, 0);
  check_integer("-0.0", true, 0);
  check_integer("0e999999999999999999999", false, 0);
  check_integer("1.0", false, 1);
  check_integer("1e3", false, 1000);
  check_integer("1.5e1", false, 15);
  check_integer("-1500e-2", true, 15);
  check_integer("10.00e1", false, 100);
  check_integer("9007199254740993", false, 9007199254740993U);
  check_integer("9007199254740993.0", false, 9007199254740993U);
  check_integer("900719925474099.3e1", false, 9007199254740993U);
  check_integer("18446744073709551615", false, std::numeric_limits<std::uint64_t>::max());
  check_integer("-18446744073709551615.000", true, std::numeric_limits<std::uint64_t>::max());
  check_integer("1844674407370955161.5e1", false, std::numeric_limits<std::uint64_t>::max());
  check_integer("1e19", false, 10'000'000'000'000'000'000U);
  check_integer("0.00000000000000000000000000001e29", false, 1);
  check_integer("9223372036854775808", false, std::uint64_t{1} << 63);
  check_integer(std::string("5") + "." + std::string(500, '0'), false, 5);
}

TEST(integers_refused) {
  check_integer_fault("1.5", Fault::kNotIntegral);
  check_integer_fault("1e-1", Fault::kNotIntegral);
  check_integer_fault("0.1e0", Fault::kNotIntegral);
  check_integer_fault("1e-400", Fault::kNotIntegral);
  check_integer_fault("9007199254740992.5", Fault::kNotIntegral);
  check_integer_fault("18446744073709551616", Fault::kBeyondType);
  check_integer_fault("1e20", Fault::kBeyondType);
  check_integer_fault("1e308", Fault::kBeyondType);
  check_integer_fault("1e309", Fault::kBeyondDouble);
  check_integer_fault(std::string(400, '1'), Fault::kBeyondDouble);
  check_integer_fault("1.", Fault::kSyntax);
  check_integer_fault("", Fault::kSyntax);
  check_integer_fault("1e", Fault::kSyntax);
  check_integer_fault("true", Fault::kSyntax);
}

TEST(random_integers) {
  std::mt19937_64 random(6);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = random() >> (random() % 64);
    const std::string text = std::to_string(value);
    check_integer(text, false, value);
    check_integer("-" + text + ".0", true, value);
    const std::size_t point = 1 + random() % text.size();
    const std::string moved = text.substr(0, point) + "." + text.substr(point) + "0";
    check_integer(moved + "e" + std::to_string(text.size() - point), false, value);
  }
}
