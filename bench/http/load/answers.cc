#include "answers.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "load_error.h"

namespace slipstream::load {
namespace {

constexpr std::size_t kExampleBytes = 200;
constexpr std::string_view kSpace = " \t\r\n";

// Where the JSON value that starts at `at` ends.
std::size_t end_of_value(std::string_view json, std::size_t at) {
  std::size_t depth = 0;
  bool in_text = false;
  for (; at < json.size(); ++at) {
    const char c = json[at];
    if (in_text) {
      if (c == '\\') ++at;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return json.size();
}

void put_number(std::ofstream& stream, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) stream.put(static_cast<char>(value >> (8 * i) & 0xff));
}

}  // namespace

std::optional<std::string_view> value_of(std::string_view json, std::string_view key) {
  const std::string quoted = std::string(1, '"').append(key).append(1, '"');
  for (std::size_t found = json.find(quoted); found != std::string_view::npos;
       found = json.find(quoted, found + 1)) {
    std::size_t at = json.find_first_not_of(kSpace, found + quoted.size());
    if (at == std::string_view::npos || json[at] != ':') continue;  // it was a value
    at = json.find_first_not_of(kSpace, at + 1);
    if (at == std::string_view::npos) return std::nullopt;
    return json.substr(at, end_of_value(json, at) - at);
  }
  return std::nullopt;
}

Answers::Answers(std::size_t bodies, std::string key, std::size_t variants)
    : kept_(bodies), key_(std::move(key)), variants_(variants) {}

bool Answers::check(std::size_t body, std::string_view response) {
  std::optional<std::string_view> answer = response;
  if (!key_.empty()) answer = value_of(response, key_);
  std::vector<std::string>& kept = kept_[body];
  if (answer && std::ranges::find(kept, *answer) != kept.end()) return true;
  if (answer && kept.size() < variants_) {
    kept.emplace_back(*answer);
    return true;
  }
  if (wrong_++ == 0) example_ = answer.value_or(response).substr(0, kExampleBytes);
  return false;
}

void Answers::write(const std::string& file) const {
  std::ofstream stream(file, std::ios::binary);
  for (std::size_t body = 0; body < kept_.size(); ++body) {
    for (const std::string& answer : kept_[body]) {
      put_number(stream, body, 4);
      put_number(stream, answer.size(), 8);
      stream.write(answer.data(), static_cast<std::streamsize>(answer.size()));
    }
  }
  stream.close();
  if (!stream) throw LoadError("cannot write " + file);
}

std::size_t Answers::kept() const noexcept {
  std::size_t total = 0;
  for (const auto& kept : kept_) total += kept.size();
  return total;
}

std::size_t Answers::answered() const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(kept_, [](const auto& kept) { return !kept.empty(); }));
}

}  // namespace slipstream::load
