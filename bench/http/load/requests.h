// Requests: prepared HTTP requests as bytes, sent one after the other, over and over.
//
// A file holds, for each request, its length as 8 bytes (little-endian) and its bytes.
// Threads: one. Ownership: holds the bytes. Failure: the constructor throws LoadError.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace slipstream::load {

class Requests {
 public:
  explicit Requests(const std::string& file);

  [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
  [[nodiscard]] std::string_view text(std::size_t index) const noexcept { return texts_[index]; }
  // The index of the request whose turn it is.
  [[nodiscard]] std::size_t next() noexcept {
    const std::size_t index = next_;
    next_ = index + 1 == texts_.size() ? 0 : index + 1;
    return index;
  }

 private:
  std::vector<std::string> texts_;
  std::size_t next_ = 0;
};

}  // namespace slipstream::load
