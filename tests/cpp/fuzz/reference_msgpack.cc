#include "fuzz/reference_msgpack.h"

#include <bit>
#include <cstdint>
#include <string>

#include "fuzz/reference_raw.h"

namespace reference {
namespace {

using Kind = Node::Kind;

struct NotMsgpack {};

class Parser {
 public:
  Parser(std::string_view bytes, std::size_t max_depth) : bytes_(bytes), max_depth_(max_depth) {}

  Node document() {
    Node node = value(0);
    require(at_ == bytes_.size());
    return node;
  }

 private:
  static void require(bool condition) {
    if (!condition) throw NotMsgpack{};
  }

  std::uint64_t number(int bytes) {
    std::uint64_t result = 0;
    for (int i = 0; i < bytes; ++i) {
      require(at_ < bytes_.size());
      result = result << 8 | static_cast<unsigned char>(bytes_[at_++]);
    }
    return result;
  }

  std::string taken(std::uint64_t size) {
    require(size <= bytes_.size() - at_);
    const std::string text(bytes_.substr(at_, size));
    at_ += size;
    return text;
  }

  Node value(std::size_t depth) {
    const std::uint64_t first = number(1);
    if (first < 0x80) return {Kind::kNumber, std::to_string(first), {}, {}};
    if (first < 0x90) return object(first & 0xF, depth);
    if (first < 0xA0) return list(first & 0xF, depth);
    if (first < 0xC0) return string(first & 0x1F);
    if (first >= 0xE0) {
      return {Kind::kNumber, std::to_string(static_cast<int>(first) - 256), {}, {}};
    }
    switch (first) {
      case 0xC0:
        return {Kind::kNull, {}, {}, {}};
      case 0xC1:
        throw NotMsgpack{};
      case 0xC2:
        return {Kind::kFalse, {}, {}, {}};
      case 0xC3:
        return {Kind::kTrue, {}, {}, {}};
      default:
        break;
    }
    if (first >= 0xCA && first <= 0xD3) return scalar(first);
    if (first >= 0xC7 && first <= 0xC9) return other(number(1 << (first - 0xC7)));
    if (first >= 0xD4 && first <= 0xD8) return other(std::uint64_t{1} << (first - 0xD4));
    if (first <= 0xC6) return {Kind::kBinary, taken(number(1 << (first - 0xC4))), {}, {}};
    if (first <= 0xDB) return string(number(1 << (first - 0xD9)));
    const std::uint64_t size = number(first % 2 == 0 ? 2 : 4);
    return first <= 0xDD ? list(size, depth) : object(size, depth);
  }

  Node other(std::uint64_t size) {
    (void)taken(size + 1);
    return {Kind::kOther, {}, {}, {}};
  }

  Node scalar(std::uint64_t first) {
    std::string text;
    if (first == 0xCA) {
      const auto bits = static_cast<std::uint32_t>(number(4));
      text = number_text(static_cast<double>(std::bit_cast<float>(bits)));
    } else if (first == 0xCB) {
      text = number_text(std::bit_cast<double>(number(8)));
    } else if (first < 0xD0) {
      text = std::to_string(number(1 << (first - 0xCC)));
    } else {
      const int bytes = 1 << (first - 0xD0);
      std::uint64_t bits = number(bytes);
      const int spare = 64 - 8 * bytes;
      text = std::to_string(static_cast<std::int64_t>(bits << spare) >> spare);
    }
    return {Kind::kNumber, text, {}, {}};
  }

  Node string(std::uint64_t size) {
    Node node{Kind::kString, taken(size), {}, {}};
    std::string_view rest = node.text;
    while (!rest.empty()) check_character(rest);
    return node;
  }

  static void check_character(std::string_view& rest) {
    const auto lead = static_cast<unsigned char>(rest[0]);
    const std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0x80 ? 1 : 0;
    require(more == 0 || (lead >= 0xC0 && lead < 0xF8 && more < rest.size()));
    std::uint32_t point = more == 0 ? lead : lead & (0x3FU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
      const auto byte = static_cast<unsigned char>(rest[i]);
      require((byte & 0xC0) == 0x80);
      point = point << 6 | (byte & 0x3F);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    require(point >= kSmallest[more] && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF));
    rest.remove_prefix(more + 1);
  }

  Node list(std::uint64_t size, std::size_t depth) {
    require(depth < max_depth_);
    Node node{Kind::kList, {}, {}, {}};
    for (std::uint64_t i = 0; i < size; ++i) node.items.push_back(value(depth + 1));
    return node;
  }

  Node object(std::uint64_t size, std::size_t depth) {
    require(depth < max_depth_);
    Node node{Kind::kObject, {}, {}, {}};
    for (std::uint64_t i = 0; i < size; ++i) {
      const Node key = value(depth + 1);
      require(key.kind == Kind::kString);
      node.keys.push_back(key.text);
      node.items.push_back(value(depth + 1));
    }
    return node;
  }

  std::string_view bytes_;
  std::size_t max_depth_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<Node> parse_msgpack(std::string_view bytes, std::size_t max_depth) {
  try {
    return Parser(bytes, max_depth).document();
  } catch (const NotMsgpack&) {
    return std::nullopt;
  }
}

}  // namespace reference
