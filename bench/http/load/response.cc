#include "response.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace slipstream::load {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

bool same_word(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

template <class Number>
bool parse(std::string_view text, Number& value, int base = 10) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, base);
  return error == std::errc() && at == end;
}

}  // namespace

void ResponseReader::reset() noexcept {
  buffer_.clear();
  chunks_.clear();
  body_at_ = chunk_at_ = length_ = 0;
  has_length_ = chunked_ = closes_ = false;
  status_ = 0;
}

Progress ResponseReader::read(std::string_view piece) {
  const std::size_t searched = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
  buffer_ += piece;
  if (body_at_ == 0) {
    const std::size_t end = buffer_.find(kHeadEnd, searched);
    if (end == std::string::npos) return Progress::kMore;
    if (!read_head(std::string_view(buffer_).substr(0, end + kLineEnd.size()))) {
      return Progress::kBroken;
    }
    body_at_ = chunk_at_ = end + kHeadEnd.size();
  }
  if (chunked_) return read_chunks();
  const std::size_t wanted = body_at_ + length_;
  if (buffer_.size() < wanted) return Progress::kMore;
  // More than one response to one request is none that we understand.
  return buffer_.size() == wanted ? Progress::kComplete : Progress::kBroken;
}

std::string_view ResponseReader::body() const noexcept {
  if (chunked_) return chunks_;
  return std::string_view(buffer_).substr(body_at_, length_);
}

bool ResponseReader::read_head(std::string_view head) {
  if (!head.starts_with("HTTP/1.") || head.size() < 14) return false;
  if (!parse(head.substr(9, 3), status_)) return false;
  closes_ = head[7] == '0';
  head.remove_prefix(head.find(kLineEnd) + kLineEnd.size());
  while (!head.empty()) {
    const std::size_t end = head.find(kLineEnd);
    if (!read_header(head.substr(0, end))) return false;
    head.remove_prefix(end + kLineEnd.size());
  }
  return has_length_ || chunked_ || status_ == 204 || status_ == 304;
}

bool ResponseReader::read_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_word(name, "content-length")) {
    has_length_ = true;
    return parse(value, length_);
  }
  if (same_word(name, "transfer-encoding")) chunked_ = same_word(value, "chunked");
  if (same_word(name, "connection")) closes_ = same_word(value, "close");
  return true;
}

Progress ResponseReader::read_chunks() {
  while (true) {
    const std::size_t end = buffer_.find(kLineEnd, chunk_at_);
    if (end == std::string::npos) return Progress::kMore;
    std::string_view line = std::string_view(buffer_).substr(chunk_at_, end - chunk_at_);
    line = trimmed(line.substr(0, line.find(';')));
    std::size_t size = 0;
    if (!parse(line, size, 16)) return Progress::kBroken;
    const std::size_t data = end + kLineEnd.size();
    // The last chunk is empty; servers send no trailers to a client that asked for none.
    if (buffer_.size() < data + size + kLineEnd.size()) return Progress::kMore;
    if (buffer_.compare(data + size, kLineEnd.size(), kLineEnd) != 0) return Progress::kBroken;
    if (size == 0) return Progress::kComplete;
    chunks_.append(buffer_, data, size);
    chunk_at_ = data + size + kLineEnd.size();
  }
}

}  // namespace slipstream::load
