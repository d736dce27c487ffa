// The small pieces that the fuzzer's documents are made of.
#pragma once

#include <cstddef>
#include <random>
#include <string>

namespace fuzz {

using Random = std::mt19937_64;

// A number below `bound`.
inline std::size_t below(Random& random, std::size_t bound) {
  return random() % bound;
}
inline bool chance(Random& random, std::size_t one_in) {
  return random() % one_in == 0;
}

// A number that no floating-point type finds too large.
std::string ordinary_number(Random& random);

// Any number, among them limits of types, hard roundings, what is no number at all.
std::string random_number(Random& random);

// A JSON string, escapes and all.
std::string random_string(Random& random);

// A value that is no number, or what looks like one.
std::string random_word(Random& random);

}  // namespace fuzz
