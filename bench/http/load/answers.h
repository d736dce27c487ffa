// Answers: what a server answered to each body, so that every single answer is checked.
//
// The first answer to a body is kept, and later ones are compared with it byte by byte; the caller
// reads the kept ones from a file and compares them as numbers. A server that batches may round
// otherwise in another batch: then a body may keep a few different answers, all of which are
// written. One beyond that is wrong.
// Threads: one. Ownership: holds the answers. Failure: write() throws LoadError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipstream::load {

// The value of the first `key` of a JSON text, as it is written; none: there is no such key.
[[nodiscard]] std::optional<std::string_view> value_of(std::string_view json, std::string_view key);

class Answers {
 public:
  Answers(std::size_t bodies, std::string key, std::size_t variants);

  // Counts one answer; false if it is not one of those that the caller will have checked.
  bool check(std::size_t body, std::string_view response);
  // Writes, for each kept answer, its body's index (4 bytes, little-endian), its length (8 bytes)
  // and its bytes.
  void write(const std::string& file) const;

  [[nodiscard]] std::uint64_t wrong() const noexcept { return wrong_; }
  [[nodiscard]] std::size_t kept() const noexcept;
  // Of bodies that have an answer at all.
  [[nodiscard]] std::size_t answered() const noexcept;
  // The first answer that was wrong, cut short.
  [[nodiscard]] const std::string& example() const noexcept { return example_; }

 private:
  std::vector<std::vector<std::string>> kept_;
  std::string key_;
  std::size_t variants_;
  std::uint64_t wrong_ = 0;
  std::string example_;
};

}  // namespace slipstream::load
