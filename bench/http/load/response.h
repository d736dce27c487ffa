// ResponseReader: puts an HTTP/1.1 response together from the pieces that arrive.
//
// Threads: one. Ownership: holds the bytes; views into it live until the next call of reset() or
// read(). Failure: an answer that it cannot read is Progress::kBroken.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace slipstream::load {

enum class Progress { kMore, kComplete, kBroken };

class ResponseReader {
 public:
  // Forgets the response, and keeps the memory.
  void reset() noexcept;
  // Takes the bytes that arrived.
  [[nodiscard]] Progress read(std::string_view piece);

  [[nodiscard]] bool empty() const noexcept { return buffer_.empty(); }
  // Of a complete response:
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  [[nodiscard]] std::string_view body() const noexcept;

 private:
  [[nodiscard]] bool read_head(std::string_view head);
  [[nodiscard]] bool read_header(std::string_view line);
  [[nodiscard]] Progress read_chunks();

  std::string buffer_;
  std::string chunks_;        // the body, of a chunked response
  std::size_t body_at_ = 0;   // 0: the head is not complete
  std::size_t chunk_at_ = 0;  // where the next chunk's size is
  std::size_t length_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool closes_ = false;
  int status_ = 0;
};

}  // namespace slipstream::load
