// Cursor: what is left of a document, and the steps every reader of JSON takes. The bytes need not
// end in a NUL; nothing here reads at or behind `end`.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace slipstream::wire {

struct Cursor {
  const char* next;
  const char* end;

  [[nodiscard]] bool at_end() const noexcept { return next == end; }
  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end - next); }
  // The next byte, 0 at the end: no JSON token begins with 0, so callers need no second check.
  [[nodiscard]] char peek() const noexcept { return next == end ? '\0' : *next; }
};

inline void skip_space(Cursor& cursor) noexcept {
  while (cursor.next != cursor.end) {
    const char c = *cursor.next;
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++cursor.next;
  }
}

// Steps over `expected` if it comes next.
[[nodiscard]] inline bool take(Cursor& cursor, char expected) noexcept {
  if (cursor.at_end() || *cursor.next != expected) return false;
  ++cursor.next;
  return true;
}

// Steps over the word `literal` (true, false, null) if it comes next.
[[nodiscard]] inline bool take_literal(Cursor& cursor, std::string_view literal) noexcept {
  if (cursor.left() < literal.size() ||
      std::memcmp(cursor.next, literal.data(), literal.size()) != 0) {
    return false;
  }
  cursor.next += literal.size();
  return true;
}

}  // namespace slipstream::wire
