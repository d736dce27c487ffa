#include "core/option_reader.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace slipstream {

OptionReader::OptionReader(std::string_view backend,
                           const std::map<std::string, std::string>& options)
    : backend_(backend), options_(options) {}

std::optional<std::string> OptionReader::text(std::string_view key) {
  known_.emplace_back(key);
  const auto found = options_.find(known_.back());
  if (found == options_.end()) return std::nullopt;
  return found->second;
}

std::string OptionReader::required_text(std::string_view key, std::string_view remedy) {
  std::optional<std::string> given = text(key);
  if (given && !given->empty()) return *std::move(given);
  if (first_problem_.is_ok()) {
    first_problem_ = invalid_argument(backend_ + " backend: option '" + std::string(key) +
                                      "' is required; " + std::string(remedy));
  }
  return {};
}

std::int64_t OptionReader::integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                                   std::int64_t max) {
  const std::optional<std::string> given = text(key);
  if (!given) return fallback;
  std::int64_t value = 0;
  const char* const end = given->data() + given->size();
  const auto [parsed, error] = std::from_chars(given->data(), end, value);
  if (error == std::errc{} && parsed == end && value >= min && value <= max) return value;
  reject(key, *given, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return fallback;
}

bool OptionReader::boolean(std::string_view key, bool fallback) {
  return choice<bool>(key, fallback, {{"true", true}, {"false", false}});
}

void OptionReader::reject(std::string_view key, std::string_view value, std::string_view expected) {
  if (!first_problem_.is_ok()) return;
  first_problem_ = invalid_argument(backend_ + " backend: option '" + std::string(key) + "' is '" +
                                    std::string(value) + "'; it must be " + std::string(expected));
}

Status OptionReader::finish() const {
  if (!first_problem_.is_ok()) return first_problem_;
  for (const auto& [key, value] : options_) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    std::string known;
    for (const std::string& name : known_) {
      if (!known.empty()) known += ", ";
      known += name;
    }
    std::string message = backend_;
    message += " backend: unknown option '";
    message += key;
    message += "'; it knows ";
    message += known;
    return invalid_argument(std::move(message));
  }
  return Status::ok();
}

}  // namespace slipstream
