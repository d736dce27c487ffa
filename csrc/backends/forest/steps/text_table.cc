#include "backends/forest/steps/text_table.h"

#include <algorithm>

namespace slipstream::forest {
namespace {

// What a first byte promises: how many follow, and the smallest code that needs so many.
struct Lead {
  std::size_t following;
  std::uint32_t bits;
  std::uint32_t smallest;
};

bool read_lead(unsigned char byte, Lead& lead) {
  if (byte < 0x80) {
    lead = {0, byte, 0};
  } else if ((byte & 0xE0U) == 0xC0U) {
    lead = {1, byte & 0x1FU, 0x80};
  } else if ((byte & 0xF0U) == 0xE0U) {
    lead = {2, byte & 0x0FU, 0x800};
  } else if ((byte & 0xF8U) == 0xF0U) {
    lead = {3, byte & 0x07U, 0x10000};
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    Lead lead{};
    if (!read_lead(static_cast<unsigned char>(text[i]), lead)) return false;
    if (text.size() - i <= lead.following) return false;
    std::uint32_t code = lead.bits;
    for (std::size_t k = 1; k <= lead.following; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xC0U) != 0x80U) return false;
      code = (code << 6U) | (byte & 0x3FU);
    }
    const bool is_surrogate = code >= 0xD800 && code < 0xE000;
    if (code < lead.smallest || code > 0x10FFFF || is_surrogate) return false;
    i += lead.following + 1;
  }
  return true;
}

std::vector<std::string_view> text_table(StepChecks& is, std::size_t index) {
  const auto ends = is.array<std::int64_t>(index, "the array of string ends");
  const auto bytes = is.array<std::uint8_t>(index + 1, "the array of string bytes");
  if (!is.ok()) return {};
  const auto size = static_cast<std::int64_t>(bytes.size());
  const bool in_order = std::ranges::is_sorted(ends) && (ends.empty() || ends.front() >= 0) &&
                        (ends.empty() ? 0 : ends.back()) == size;
  is.require(in_order, "the ends of its strings do not ascend to the number of their bytes");
  if (!in_order) return {};
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::string_view> table;
  table.reserve(ends.size());
  std::size_t begin = 0;
  for (const std::int64_t end : ends) {
    table.push_back(all.substr(begin, static_cast<std::size_t>(end) - begin));
    begin = static_cast<std::size_t>(end);
  }
  is.require(std::ranges::all_of(table, is_utf8), "a string is not UTF-8");
  return table;
}

}  // namespace slipstream::forest
