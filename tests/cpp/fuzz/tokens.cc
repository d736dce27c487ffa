#include "fuzz/tokens.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace fuzz {
namespace {

constexpr std::array<std::string_view, 46> kNumbers{"0",
                                                    "-0",
                                                    "1",
                                                    "-1",
                                                    "0.5",
                                                    "127",
                                                    "128",
                                                    "-128",
                                                    "-129",
                                                    "255",
                                                    "256",
                                                    "32767",
                                                    "32768",
                                                    "65535",
                                                    "65536",
                                                    "65504",
                                                    "65519.9",
                                                    "65520",
                                                    "1.0",
                                                    "1e3",
                                                    "1E-3",
                                                    "15e-1",
                                                    "150e-1",
                                                    "0.0",
                                                    "-0.0",
                                                    "2147483647",
                                                    "2147483648",
                                                    "4294967295",
                                                    "9007199254740993",
                                                    "9223372036854775807",
                                                    "9223372036854775808",
                                                    "-9223372036854775808",
                                                    "18446744073709551615",
                                                    "18446744073709551616",
                                                    "3.4028235677973366e38",
                                                    "3.4e38",
                                                    "1e39",
                                                    "1.7976931348623157e308",
                                                    "1.7976931348623159e308",
                                                    "1e999",
                                                    "-1e-999",
                                                    "4.9e-324",
                                                    "01",
                                                    "1.",
                                                    "-",
                                                    "123456789012345678901234567890.12345e-20"};

constexpr std::array<std::string_view, 15> kWords{
    "null",        "true",         "false",   "NaN", "-Infinity", "nul",
    "\"\"",        "\"text\"",     "[]",      "{}",  "[[]]",      "\"\\u00e9\\ud83d\\ude00\"",
    "\"\\ud800\"", "\"\xC3\xA9\"", "\"\xC3\""};

}  // namespace

std::string random_number(Random& random) {
  char text[64];
  switch (below(random, 8)) {
    case 0:
      return std::string(kNumbers[below(random, kNumbers.size())]);
    case 1: {
      const double value = std::bit_cast<double>(random());
      if (!std::isfinite(value)) return "0";
      return {text, std::to_chars(text, text + sizeof text, value).ptr};
    }
    case 2: {
      const double value = static_cast<double>(static_cast<std::int64_t>(random())) / 1e16;
      return {text, std::to_chars(text, text + sizeof text, value).ptr};
    }
    case 3: {
      std::string digits = std::to_string(random()) + std::to_string(random());
      digits.insert(1 + below(random, digits.size() - 1), ".");
      return digits + "e" + std::to_string(static_cast<int>(below(random, 80)) - 60);
    }
    case 4:
      return std::to_string(static_cast<double>(below(random, 100'000)) / 100);
    default:
      return std::to_string(below(random, 130));
  }
}

std::string ordinary_number(Random& random) {
  char text[64];
  const double value = static_cast<double>(static_cast<std::int32_t>(random())) / 65'536;
  switch (below(random, 4)) {
    case 0:
      return std::to_string(below(random, 130));
    case 1:
      return {text, std::to_chars(text, text + sizeof text, value / 1e7).ptr};
    case 2:
      return {text, std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr};
    default:
      return {text, std::to_chars(text, text + sizeof text, value).ptr};
  }
}

std::string random_string(Random& random) {
  std::string text = "\"";
  for (std::size_t i = below(random, chance(random, 8) ? 60 : 6); i > 0; --i) {
    static const std::vector<std::string> kPieces{"a",
                                                  "Z",
                                                  " ",
                                                  "~",
                                                  "\\n",
                                                  "\\\"",
                                                  "\\\\",
                                                  "\\/",
                                                  "\\u0000",
                                                  "\\u20ac",
                                                  "\\ud83d\\ude00",
                                                  "\xC3\xA9",
                                                  "\xE2\x82\xAC",
                                                  "\xF0\x9F\x98\x80",
                                                  "[",
                                                  "]",
                                                  ",",
                                                  "abcdefgh"};
    text += kPieces[below(random, kPieces.size())];
  }
  return text + "\"";
}

std::string random_word(Random& random) {
  return std::string(kWords[below(random, kWords.size())]);
}

}  // namespace fuzz
