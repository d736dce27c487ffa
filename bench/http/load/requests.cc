#include "requests.h"

#include <array>
#include <cstdint>
#include <fstream>

#include "load_error.h"

namespace slipstream::load {
namespace {

constexpr std::uint64_t kLargest = std::uint64_t{1} << 30;

}  // namespace

Requests::Requests(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw LoadError("cannot read " + file);
  std::array<char, 8> head{};
  while (stream.read(head.data(), head.size())) {
    std::uint64_t length = 0;
    for (std::size_t i = head.size(); i-- > 0;) {
      length = length << 8 | static_cast<unsigned char>(head[i]);
    }
    if (length == 0 || length > kLargest) throw LoadError(file + " holds no requests");
    std::string& text = texts_.emplace_back(length, '\0');
    if (!stream.read(text.data(), static_cast<std::streamsize>(length))) {
      throw LoadError(file + " ends within a request");
    }
  }
  if (stream.gcount() != 0 || texts_.empty()) throw LoadError(file + " holds no whole request");
}

}  // namespace slipstream::load
