#include "fuzz/mutations.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace fuzz {
namespace {

// A position in the document, at a byte of `kind` if there is one.
std::size_t position_of(const std::string& document, std::string_view kind, Random& random) {
  const std::size_t start = below(random, document.size());
  const std::size_t found = document.find_first_of(kind, start);
  return found == std::string::npos ? start : found;
}

void replace_number(std::string& document, const std::string& by, Random& random) {
  const std::size_t begin = position_of(document, "-0123456789", random);
  const std::size_t end =
      std::min(document.find_first_not_of("+-.0123456789eE", begin), document.size());
  document.replace(begin, end - begin, by);
}

// Exchanges what lies between two pairs of neighbouring commas or brackets: values, rows, members.
void swap_slices(std::string& document, Random& random) {
  std::array<std::size_t, 4> ends{};
  for (std::size_t& end : ends) end = position_of(document, ",[]{}", random);
  std::ranges::sort(ends);
  const auto [a, b, c, d] = ends;
  document = document.substr(0, a) + document.substr(c, d - c) + document.substr(b, c - b) +
             document.substr(a, b - a) + document.substr(d);
}

}  // namespace

void mutate(std::string& document, const std::string& other, Random& random) {
  if (document.empty()) document = "[";
  const std::size_t at = below(random, document.size());
  const std::size_t length = below(random, std::min<std::size_t>(document.size() - at, 24) + 1);
  constexpr std::string_view kStructure = "[]{},:\"\\ -+.eE0123456789nft\xC3\xFF";
  if (chance(random, 3)) return replace_number(document, random_number(random), random);
  if (chance(random, 8)) return swap_slices(document, random);
  switch (below(random, 12)) {
    case 0:
      return replace_number(document, ordinary_number(random), random);
    case 1:
      return replace_number(document, random_word(random), random);
    case 2:  // one structural byte more, less, or another
      document.insert(at, 1, kStructure[below(random, kStructure.size())]);
      return;
    case 3:
      document.erase(position_of(document, "[]{},:\"", random), 1);
      return;
    case 4:
      document[position_of(document, "[]{},:\"", random)] =
          kStructure[below(random, kStructure.size())];
      return;
    case 5:
      document.resize(at);
      return;
    case 6:  // a bit
      document[at] = static_cast<char>(document[at] ^ (1 << below(random, 8)));
      return;
    case 7:
      document[at] = static_cast<char>(random());
      return;
    case 8:
      document.erase(at, length);
      return;
    case 9:
      document.insert(below(random, document.size()), document.substr(at, length));
      return;
    case 10:
      if (!other.empty())
        document.insert(at, other.substr(below(random, other.size()), length + 1));
      return;
    default:
      if (chance(random, 10)) {
        document.insert(at, below(random, 200), chance(random, 2) ? '[' : '9');
      } else if (chance(random, 3)) {
        document += document.substr(at);
      } else {
        document.insert(at, random_string(random));
      }
  }
}

}  // namespace fuzz
