// OptionReader: reads a backend's options (ModelConfig::options) as typed, range-checked values.
//
// Use it once at load: ask for every option the backend knows, then call finish(), which fails on
// the first bad value or on a key nobody asked for. Reading goes on after a bad value (with the
// fallback), so that a backend's list of options is one straight run of lines.
// Threads: one. Ownership: refers to the map it was made from. Failure: only through finish().
// Throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace slipstream {

class OptionReader {
 public:
  // `backend` names the reader in messages.
  OptionReader(std::string_view backend, const std::map<std::string, std::string>& options);

  // The text as given; nullopt when absent.
  [[nodiscard]] std::optional<std::string> text(std::string_view key);
  // The same, for an option that must be there; `remedy` ends the message when it is not.
  [[nodiscard]] std::string required_text(std::string_view key, std::string_view remedy);
  // A decimal integer in [min, max].
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                                     std::int64_t max);
  // "true" or "false".
  [[nodiscard]] bool boolean(std::string_view key, bool fallback);
  // One of a few words, each standing for a value.
  template <class T>
  [[nodiscard]] T choice(std::string_view key, T fallback,
                         std::initializer_list<std::pair<std::string_view, T>> choices) {
    const std::optional<std::string> given = text(key);
    if (!given) return fallback;
    std::string expected;
    for (const auto& [word, value] : choices) {
      if (*given == word) return value;
      if (!expected.empty()) expected += ", ";
      expected += word;
    }
    reject(key, *given, "one of " + expected);
    return fallback;
  }

  // Records that `value` is not what option `key` expects. For checks of the caller's own.
  void reject(std::string_view key, std::string_view value, std::string_view expected);

  // OK, or the first complaint. An unknown key lists the known ones: a misspelt option must not
  // silently leave a default in force.
  [[nodiscard]] Status finish() const;

 private:
  std::string backend_;
  const std::map<std::string, std::string>& options_;
  std::vector<std::string> known_;
  Status first_problem_;
};

}  // namespace slipstream
