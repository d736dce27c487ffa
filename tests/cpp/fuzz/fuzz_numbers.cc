// The fuzzer of number.h: every number of random, typical and adversarial digits is parsed by us,
// by std::from_chars and by strtod, and all three must give the same bits. So must the fast loop
// over a list of them (list_run.h), and what we write must read back as it was.
//
//   fuzz_numbers                  a short run that is the same every time (what ctest does)
//   fuzz_numbers SECONDS [SEED]   as long as that; a seed of your own
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "fuzz/tokens.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/number.h"
#include "wire/shortest.h"

namespace {

using namespace slipstream;
using fuzz::below;
using fuzz::chance;
using fuzz::Random;

[[noreturn]] void fail(const std::string& what, const std::string& text, std::uint64_t seed) {
  std::cerr << "broken promise: " << what << "\nseed " << seed << "\n" << text << "\n";
  std::exit(EXIT_FAILURE);
}

std::string digits(std::size_t count, Random& random) {
  std::string text;
  for (; count > 0; --count) text += static_cast<char>('0' + below(random, 10));
  return text;
}

std::string shortest(double value) {
  std::array<char, 64> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// Exactly half way between two doubles: the double of 54 bits, written out in full.
std::string half_way(Random& random) {
  const std::uint64_t mantissa = (random() | std::uint64_t{1} << 53) % (std::uint64_t{1} << 54) | 1;
  const int shift = static_cast<int>(below(random, 130)) - 75;
  std::array<char, 512> text;
  const auto value = static_cast<long double>(mantissa);
  std::snprintf(text.data(), text.size(), "%.*Lf", shift < 0 ? -shift : 0,
                std::ldexp(value, shift));
  return text.data();
}

std::string scaled(const std::string& text, Random& random) {
  const int exponent = static_cast<int>(below(random, chance(random, 3) ? 700 : 60)) -
                       (chance(random, 2) ? 30 : 350);
  return text + (chance(random, 2) ? "e" : "E") + (exponent >= 0 && chance(random, 2) ? "+" : "") +
         std::to_string(exponent);
}

// A number as JSON writes them.
std::string magnitude(Random& random) {
  switch (below(random, 12)) {
    case 0:
      return "0." + std::string(below(random, 25), '0') + digits(1 + below(random, 20), random);
    case 1:
      return std::to_string(random() >> below(random, 64));
    case 2:
      return std::to_string(random() >> below(random, 64)) + "." +
             digits(1 + below(random, 24), random);
    case 3:
      return shortest(std::fabs(std::bit_cast<double>(random() & ~(std::uint64_t{1} << 62))));
    case 4:
      return shortest(static_cast<double>(random() >> 11) * 0x1p-53);
    case 5:
      return shortest(static_cast<double>(static_cast<float>(random() >> 40) * 0x1p-20F));
    case 6:
      return half_way(random);
    case 7:
      return scaled(std::to_string(random() >> below(random, 64)), random);
    case 8:
      return scaled("1." + digits(1 + below(random, 40), random), random);
    case 9:
      return "1" + std::string(below(random, 40), '0') + "." + digits(1 + below(random, 9), random);
    case 10:
      return std::to_string(below(random, 1000)) + "." + digits(1 + below(random, 3), random);
    default:
      return std::to_string(below(random, 10)) + "." + digits(15 + below(random, 3), random);
  }
}

std::string number(Random& random) {
  std::string text = magnitude(random);
  if (text.size() > 1 && text[0] == '0' && text[1] != '.' && text[1] != 'e') text[0] = '7';
  const std::size_t point = text.find('.');
  if (point != std::string::npos && chance(random, 60)) text.insert(point + 1, 700, '0');
  if (text.find_first_not_of("0123456789.eE+-") != std::string::npos) return "1";
  return chance(random, 2) ? "-" + text : text;
}

// The value that all three parsers agree on; nothing for one beyond a double.
bool check_number(const std::string& text, std::uint64_t seed, double& value) {
  const double expected = std::strtod(text.c_str(), nullptr);
  // In memory of exactly its size, so that ASan sees a read behind the end.
  const std::vector<char> exact(text.begin(), text.end());
  const char* const end = exact.data() + exact.size();
  const wire::Parsed parsed = wire::parse_double(exact.data(), end, value);
  if (!std::isfinite(expected)) {
    if (parsed.fault != wire::Fault::kBeyondDouble) fail("no double, and read", text, seed);
    return false;
  }
  if (parsed.fault != wire::Fault::kNone || parsed.next != end) fail("not read", text, seed);
  if (std::bit_cast<std::uint64_t>(value) != std::bit_cast<std::uint64_t>(expected)) {
    fail("strtod has another value: " + shortest(expected) + ", ours " + shortest(value), text,
         seed);
  }
  double standard = 0;
  const auto [next, error] = std::from_chars(exact.data(), end, standard);
  if (error == std::errc{} && (next != end || std::bit_cast<std::uint64_t>(standard) !=
                                                  std::bit_cast<std::uint64_t>(value))) {
    fail("std::from_chars has another value", text, seed);
  }
  return true;
}

// Rows of numbers through the decoder, and its tensor through the encoder.
void check_rows(const std::string& document, const std::vector<double>& values, std::size_t width,
                std::uint64_t seed) {
  const InputSchema schema{
      Layout::kMatrix, {{"x", DType::kFloat64, {-1, static_cast<std::int64_t>(width)}}}, {}, true};
  auto* const memory = std::pmr::new_delete_resource();
  const std::vector<char> exact(document.begin(), document.end());
  const auto decoded = decode_inputs({exact.data(), exact.size()}, schema, {}, memory);
  if (!decoded.is_ok()) fail(decoded.status().message(), document, seed);
  const auto same = [&values](const Tensor& tensor) {
    const auto got = tensor.as<double>();
    return std::equal(got.begin(), got.end(), values.begin(), values.end(), [](double a, double b) {
      return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
    });
  };
  if (!same(decoded.value()[0])) fail("the rows have other values", document, seed);
  std::string encoded;
  encode_tensor(decoded.value()[0], encoded);
  const auto again = decode_inputs(encoded, schema, {}, memory);
  if (!again.is_ok() || !same(again.value()[0])) fail("the encoding differs", encoded, seed);
}

// What we write is what the standard library writes, and ".0" where that would read as an integer.
template <class T>
void check_written(T value, std::uint64_t seed) {
  if (!std::isfinite(value)) return;
  std::array<char, wire::kShortestRoom> text;
  const std::string ours(text.data(), wire::write_shortest(value, text.data()));
  std::string theirs(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  if (theirs.find_first_of(".e") == std::string::npos) theirs += ".0";
  if (ours != theirs) fail("written as " + ours, theirs, seed);
}

void check_all_written(double value, Random& random, std::uint64_t seed) {
  check_written(value, seed);
  check_written(static_cast<float>(value), seed);
  check_written(std::bit_cast<float>(static_cast<std::uint32_t>(random())), seed);
  check_written(std::ldexp(1.0, static_cast<int>(below(random, 400)) - 300), seed);
  check_written(static_cast<double>(random() >> below(random, 64)), seed);
  check_written(static_cast<double>(below(random, 1'000'000)) / 1000, seed);
}

std::uint64_t run_round(std::uint64_t seed) {
  Random random(seed);
  const std::size_t width = 1 + below(random, 12);
  const std::size_t rows = 1 + below(random, 6);
  const std::vector<std::string> separators{",", ", ", " ,\n", ",  "};
  const std::size_t habit = below(random, 2);  // and at times another
  std::string document = "[";
  std::vector<double> values;
  for (std::size_t row = 0; row < rows; ++row) {
    document += row > 0 ? ",[" : "[";
    for (std::size_t column = 0; column < width; ++column) {
      if (column > 0) {
        document += separators[chance(random, 20) ? below(random, separators.size()) : habit];
      }
      std::string text = number(random);
      double value = 0;
      while (!check_number(text, seed, value)) text = number(random);
      check_all_written(value, random, seed);
      document += text;
      values.push_back(value);
    }
    document += "]";
  }
  check_rows(document + "]", values, width, seed);
  return values.size();
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kShortRun = 20'000;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  std::uint64_t numbers = 0;
  for (std::uint64_t seed = first; argc > 1 ? Clock::now() < end : seed < first + kShortRun;
       ++seed) {
    numbers += run_round(seed);
  }
  std::cout << numbers << " numbers, each the same to the last bit\n";
  return EXIT_SUCCESS;
}
