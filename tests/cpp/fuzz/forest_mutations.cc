#include "fuzz/forest_mutations.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backends/forest/file.h"

namespace fuzz {
namespace {

template <class T>
T number_at(const std::string& bytes, std::size_t at) {
  T value{};
  if (at <= bytes.size() && bytes.size() - at >= sizeof value) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
  }
  return value;
}

template <class T>
void put_at(std::string& bytes, std::size_t at, T value) {
  if (at <= bytes.size() && bytes.size() - at >= sizeof value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
}

// A value that is wrong in a way that programs get wrong: a limit, a neighbour, a bit.
std::uint64_t wrong(std::uint64_t right, Random& random) {
  constexpr std::uint64_t kLimits[] = {0,
                                       1,
                                       2,
                                       63,
                                       64,
                                       65,
                                       0x7fff'ffff,
                                       0x8000'0000,
                                       0xffff'ffff,
                                       0x10'0000,
                                       0x10'0001,
                                       0x1'0000,
                                       std::numeric_limits<std::uint64_t>::max(),
                                       std::uint64_t{1} << 63,
                                       std::uint64_t{1} << 40};
  switch (below(random, 5)) {
    case 0:
      return kLimits[below(random, std::size(kLimits))];
    case 1:
      return right + 1 + below(random, 3);
    case 2:
      return right - 1 - below(random, 3);
    case 3:
      return right ^ (std::uint64_t{1} << below(random, 40));
    default:
      return right + 64 * (below(random, 5) - 2);
  }
}

double wrong_double(Random& random) {
  constexpr double kNumbers[] = {0.0,
                                 -0.0,
                                 1.0,
                                 -1.0,
                                 0.5,
                                 2.0,
                                 3.0,
                                 5.0,
                                 12.0,
                                 1e300,
                                 -1e300,
                                 1e9,
                                 4e9,
                                 1048577.0,
                                 5e-324,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  return kNumbers[below(random, std::size(kNumbers))];
}

void change_u32(std::string& bytes, std::size_t at, Random& random) {
  put_at(bytes, at, static_cast<std::uint32_t>(wrong(number_at<std::uint32_t>(bytes, at), random)));
}

void change_u64(std::string& bytes, std::size_t at, Random& random) {
  put_at(bytes, at, wrong(number_at<std::uint64_t>(bytes, at), random));
}

void change_header(std::string& bytes, Random& random) {
  switch (below(random, 3)) {
    case 0:
      return change_u64(bytes, 24 + 8 * below(random, 3), random);
    case 1:
      return change_u32(bytes, 48 + 4 * below(random, 4), random);
    default:
      return change_u32(bytes, 4 * below(random, 16), random);
  }
}

std::size_t table_of(const std::string& bytes) {
  return static_cast<std::size_t>(number_at<std::uint64_t>(bytes, 40));
}

// Where the entry of some array lies.
std::size_t any_entry(const std::string& bytes, Random& random) {
  const auto arrays = number_at<std::uint32_t>(bytes, 48);
  return table_of(bytes) + 24 * below(random, std::max<std::size_t>(arrays, 1));
}

void change_entry(std::string& bytes, Random& random) {
  const std::size_t entry = any_entry(bytes, random);
  switch (below(random, 4)) {
    case 0:
      return put_at(bytes, entry, static_cast<std::uint32_t>(below(random, 15)));
    case 1:
      return change_u64(bytes, entry + 8, random);
    case 2:
      return change_u64(bytes, entry + 16, random);
    default: {  // what another array holds
      const std::size_t other = any_entry(bytes, random);
      put_at(bytes, entry + 8, number_at<std::uint64_t>(bytes, other + 8));
      put_at(bytes, entry + 16, number_at<std::uint64_t>(bytes, other + 16));
    }
  }
}

void change_element(std::string& bytes, Random& random) {
  const std::size_t entry = any_entry(bytes, random);
  const auto dtype = number_at<std::uint32_t>(bytes, entry);
  const auto offset = static_cast<std::size_t>(number_at<std::uint64_t>(bytes, entry + 8));
  const auto count = static_cast<std::size_t>(number_at<std::uint64_t>(bytes, entry + 16));
  if (count == 0 || dtype >= 13) return;
  const std::size_t size = slipstream::dtype_size(static_cast<slipstream::DType>(dtype));
  const std::size_t at = offset + size * below(random, std::min<std::size_t>(count, 1U << 20));
  if (size == 1) return put_at(bytes, at, static_cast<std::uint8_t>(random()));
  if (size == 4) return change_u32(bytes, at, random);
  if (dtype == 12 && !chance(random, 4)) return put_at(bytes, at, wrong_double(random));
  change_u64(bytes, at, random);
}

void change_program(std::string& bytes, Random& random) {
  const auto offset = static_cast<std::size_t>(number_at<std::uint64_t>(bytes, 24));
  const auto size = static_cast<std::size_t>(number_at<std::uint64_t>(bytes, 32));
  if (size < 8 || size > bytes.size()) return;
  const std::size_t word = offset + 4 * below(random, size / 4);
  switch (below(random, 4)) {
    case 0:
      return change_u32(bytes, word, random);
    case 1:  // a small number, such as ids and counts and ops are
      return put_at(bytes, word, static_cast<std::uint32_t>(below(random, 37)));
    case 2:
      return put_at(bytes, word,
                    number_at<std::uint32_t>(bytes, offset + 4 * below(random, size / 4)));
    default:
      return put_at(bytes, offset + 8 * below(random, size / 8), wrong_double(random));
  }
}

void change_bytes(std::string& bytes, Random& random) {
  const std::size_t at = below(random, bytes.size());
  const std::size_t length = below(random, std::min<std::size_t>(bytes.size() - at, 80) + 1);
  switch (below(random, 4)) {
    case 0:
      bytes.resize(at);
      return;
    case 1:
      bytes.erase(at, length);
      return;
    case 2:
      bytes.insert(at, bytes.substr(below(random, bytes.size()), length));
      return;
    default:
      for (std::size_t i = 0; i < length; ++i) bytes[at + i] = static_cast<char>(random());
  }
}

}  // namespace

void mutate_forest_file(std::string& bytes, Random& random) {
  if (bytes.size() < slipstream::forest::kHeaderBytes) return;
  switch (below(random, 12)) {
    case 0:
      return change_header(bytes, random);
    case 1:
    case 2:
      return change_entry(bytes, random);
    case 3:
      return change_bytes(bytes, random);
    case 4:
    case 5:
    case 6:
    case 7:
      return change_element(bytes, random);
    default:
      return change_program(bytes, random);
  }
}

}  // namespace fuzz
