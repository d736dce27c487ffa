#include "fuzz/reference_json.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace reference {
namespace {

struct NotJson {};

class Parser {
 public:
  Parser(std::string_view json, std::size_t max_depth) : json_(json), max_depth_(max_depth) {}

  Node document() {
    Node node = value(0);
    space();
    require(at_ == json_.size());
    return node;
  }

 private:
  static void require(bool condition) {
    if (!condition) throw NotJson{};
  }
  char peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }
  char next() {
    require(at_ < json_.size());
    return json_[at_++];
  }
  bool accept(char c) {
    if (at_ < json_.size() && json_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }
  void space() {
    while (at_ < json_.size() &&
           std::string_view(" \t\r\n").find(json_[at_]) != std::string::npos) {
      ++at_;
    }
  }

  Node value(std::size_t depth) {
    space();
    Node node;
    if (accept('[')) {
      list(node, depth);
    } else if (accept('{')) {
      object(node, depth);
    } else if (accept('"')) {
      node.kind = Node::Kind::kString;
      node.text = string();
    } else if (word("null")) {
      node.kind = Node::Kind::kNull;
    } else if (word("true")) {
      node.kind = Node::Kind::kTrue;
    } else if (word("false")) {
      node.kind = Node::Kind::kFalse;
    } else {
      node.kind = Node::Kind::kNumber;
      node.text = number();
    }
    return node;
  }

  bool word(std::string_view text) {
    if (json_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }

  void list(Node& node, std::size_t depth) {
    require(depth < max_depth_);
    node.kind = Node::Kind::kList;
    space();
    if (accept(']')) return;
    do {
      node.items.push_back(value(depth + 1));
      space();
    } while (accept(','));
    require(accept(']'));
  }

  void object(Node& node, std::size_t depth) {
    require(depth < max_depth_);
    node.kind = Node::Kind::kObject;
    space();
    if (accept('}')) return;
    do {
      space();
      require(accept('"'));
      node.keys.push_back(string());
      space();
      require(accept(':'));
      node.items.push_back(value(depth + 1));
      space();
    } while (accept(','));
    require(accept('}'));
  }

  bool digits() {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > begin;
  }

  std::string number() {
    const std::size_t begin = at_;
    accept('-');
    if (!accept('0')) require(digits());
    if (accept('.')) require(digits());
    if (accept('e') || accept('E')) {
      if (!accept('+')) accept('-');
      require(digits());
    }
    std::string text(json_.substr(begin, at_ - begin));
    require(std::isfinite(std::strtod(text.c_str(), nullptr)));
    return text;
  }

  std::uint32_t hex4() {
    std::uint32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(next());
      require(digit != std::string_view::npos);
      unit = unit * 16 + static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
    }
    return unit;
  }

  // A string's text as code points, checked one by one and written out again.
  std::string string() {
    std::string text;
    for (char c = next(); c != '"'; c = next()) {
      require(static_cast<unsigned char>(c) >= 0x20);
      if (c == '\\') {
        escape(text);
      } else if (static_cast<unsigned char>(c) < 0x80) {
        text += c;
      } else {
        write(code_point(static_cast<unsigned char>(c)), text);
      }
    }
    return text;
  }

  void escape(std::string& text) {
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char c = next();
    if (const std::size_t i = kFrom.find(c); i != std::string_view::npos) {
      text += kTo[i];
      return;
    }
    require(c == 'u');
    std::uint32_t point = hex4();
    if (point >= 0xD800 && point < 0xDC00) {
      require(next() == '\\' && next() == 'u');
      const std::uint32_t low = hex4();
      require(low >= 0xDC00 && low < 0xE000);
      point = 0x10000 + ((point & 0x3FF) << 10) + (low & 0x3FF);
    }
    write(point, text);
  }

  std::uint32_t code_point(unsigned char lead) {
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    require(lead >= 0xC0 && lead < 0xF8);
    std::uint32_t point = lead & (0x3FU >> more);
    for (int i = 0; i < more; ++i) {
      const auto byte = static_cast<unsigned char>(next());
      require((byte & 0xC0) == 0x80);
      point = point << 6 | (byte & 0x3F);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    require(point >= kSmallest[more] && point <= 0x10FFFF);
    return point;
  }

  static void write(std::uint32_t point, std::string& text) {
    require(point < 0xD800 || point > 0xDFFF);
    const int more = point >= 0x10000 ? 3 : point >= 0x800 ? 2 : point >= 0x80 ? 1 : 0;
    constexpr std::uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
    text += static_cast<char>(kLead[more] | point >> (6 * more));
    for (int i = more - 1; i >= 0; --i) {
      text += static_cast<char>(0x80 | (point >> (6 * i) & 0x3F));
    }
  }

  std::string_view json_;
  std::size_t max_depth_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<Node> parse(std::string_view json, std::size_t max_depth) {
  try {
    return Parser(json, max_depth).document();
  } catch (const NotJson&) {
    return std::nullopt;
  }
}

}  // namespace reference
