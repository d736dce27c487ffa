#include "device/places.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace slipstream::device {
namespace {

constexpr std::string_view kCuda = "cuda";

std::optional<int> parse_device(std::string_view text) {
  if (!text.starts_with(kCuda)) return std::nullopt;
  text.remove_prefix(kCuda.size());
  if (text.empty()) return 0;
  if (text.front() != ':') return std::nullopt;
  text.remove_prefix(1);
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc{} && end == text.data() + text.size();
  return is_number && number >= 0 ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<std::vector<int>> parse_devices(std::string_view text) {
  std::vector<int> numbers;
  if (text == "cpu") return numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::optional<int> number = parse_device(text.substr(0, comma));
    if (!number || std::ranges::find(numbers, *number) != numbers.end()) return std::nullopt;
    numbers.push_back(*number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

Place Places::take() noexcept {
  const auto fewest = std::ranges::min_element(
      *taken_, {}, [](const std::atomic<int>& count) { return count.load(); });
  fewest->fetch_add(1);
  return {taken_, static_cast<std::size_t>(fewest - taken_->begin())};
}

}  // namespace slipstream::device
