#include "wire/skip.h"

#include <string>

#include "wire/number.h"

namespace slipstream::wire {
namespace {

constexpr Flaw kTooDeep = "lists or objects nested too deep";
constexpr Flaw kEnd = "the end of the data where more was expected";

class Skipper {
 public:
  Skipper(Cursor& cursor, std::size_t max_depth) : cursor_(cursor), max_depth_(max_depth) {}

  Flaw run() {
    do {
      if (const Flaw flaw = begin_value()) return flaw;
      if (const Flaw flaw = end_values()) return flaw;
    } while (!open_.empty());
    return nullptr;
  }

 private:
  // Reads a scalar, or the opening of one or more containers up to the first scalar. Leaves
  // complete_ false when a container was opened that has something in it.
  Flaw begin_value() {
    skip_space(cursor_);
    complete_ = true;
    switch (cursor_.peek()) {
      case '[':
        return open('[', ']');
      case '{':
        return open('{', '}');
      case '"':
        return read_string(cursor_, scratch_, text_);
      case 't':
        return take_literal(cursor_, "true") ? nullptr : "an unknown word";
      case 'f':
        return take_literal(cursor_, "false") ? nullptr : "an unknown word";
      case 'n':
        return take_literal(cursor_, "null") ? nullptr : "an unknown word";
      default:
        return number();
    }
  }

  Flaw number() {
    if (cursor_.at_end()) return kEnd;
    const char c = *cursor_.next;
    if (c != '-' && !number_detail::is_digit(c)) {
      if (c == 'N' || c == 'I')
        return "NaN or Infinity, which JSON does not have (null is a missing value)";
      return "an unexpected character";
    }
    double value = 0;
    const Parsed parsed = parse_double(cursor_.next, cursor_.end, value);
    if (parsed.fault == Fault::kBeyondDouble) return "a number beyond the range of a double";
    if (parsed.fault != Fault::kNone) return "an invalid number";
    if (c == '0' || (c == '-' && cursor_.next[1] == '0')) {
      if (parsed.next != cursor_.end && number_detail::is_digit(*parsed.next)) {
        return "a number with a leading zero";
      }
    }
    cursor_.next = parsed.next;
    return nullptr;
  }

  Flaw open(char opening, char closing) {
    if (open_.size() >= max_depth_) return kTooDeep;
    ++cursor_.next;
    skip_space(cursor_);
    if (take(cursor_, closing)) return nullptr;
    open_ += opening;
    complete_ = false;
    return opening == '{' ? key() : nullptr;
  }

  Flaw key() {
    skip_space(cursor_);
    if (cursor_.at_end()) return kEnd;
    if (cursor_.peek() != '"') return "an object key that is no string";
    if (const Flaw flaw = read_string(cursor_, scratch_, text_)) return flaw;
    skip_space(cursor_);
    if (cursor_.at_end()) return kEnd;
    return take(cursor_, ':') ? nullptr : "no ':' behind an object key";
  }

  // Behind a complete value: closes containers up to the one that goes on with a comma.
  Flaw end_values() {
    if (!complete_) return nullptr;
    while (!open_.empty()) {
      skip_space(cursor_);
      if (cursor_.at_end()) return kEnd;
      const bool in_object = open_.back() == '{';
      if (take(cursor_, ',')) return in_object ? key() : nullptr;
      if (!take(cursor_, in_object ? '}' : ']')) {
        return in_object ? "neither ',' nor '}' behind a value"
                         : "neither ',' nor ']' behind a value";
      }
      open_.pop_back();
    }
    return nullptr;
  }

  Cursor& cursor_;
  const std::size_t max_depth_;
  bool complete_ = true;
  std::string open_;  // the containers we are in, '[' or '{' each
  std::string scratch_;
  std::string_view text_;
};

}  // namespace

Flaw skip_value(Cursor& cursor, std::size_t max_depth) {
  return Skipper(cursor, max_depth).run();
}

Status check_json(std::string_view json, std::size_t max_depth) {
  Cursor cursor{json.data(), json.data() + json.size()};
  Flaw flaw = skip_value(cursor, max_depth);
  if (flaw == nullptr) {
    skip_space(cursor);
    if (cursor.at_end()) return Status::ok();
    flaw = "something behind the end of the value";
  }
  std::string message = "data is not valid JSON: ";
  message += flaw;
  if (flaw == kTooDeep) message += " (at most " + std::to_string(max_depth) + " are allowed)";
  message += ", at byte " + std::to_string(json.size() - cursor.left());
  return malformed(std::move(message));
}

}  // namespace slipstream::wire
