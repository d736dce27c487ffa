#include "wire/text.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace slipstream::wire {
namespace {

constexpr std::uint64_t kEachByte = 0x0101010101010101;
constexpr std::uint64_t kTopBits = kEachByte * 0x80;

bool is_plain(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Top bits of bytes that are zero; bytes behind the first one may be wrong.
std::uint64_t zero_bytes(std::uint64_t word) noexcept {
  return (word - kEachByte) & ~word;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Four hex digits at the cursor; -1 if there are none.
int take_hex4(Cursor& cursor) noexcept {
  if (cursor.left() < 4) return -1;
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(*cursor.next);
    if (digit < 0) return -1;
    value = value * 16 + digit;
    ++cursor.next;
  }
  return value;
}

bool is_high_surrogate(int unit) noexcept {
  return unit >= 0xD800 && unit <= 0xDBFF;
}
bool is_low_surrogate(int unit) noexcept {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

constexpr Flaw kBadEscape = "an invalid escape in a string";
constexpr Flaw kLoneSurrogate = "a lone surrogate in a string";
constexpr Flaw kUnterminated = "the end of the data inside a string";

// Behind "\u": a code point, or the two halves of one.
Flaw take_unicode_escape(Cursor& cursor, std::string& out) {
  const int unit = take_hex4(cursor);
  if (unit < 0) return kBadEscape;
  if (is_low_surrogate(unit)) return kLoneSurrogate;
  if (!is_high_surrogate(unit)) {
    append_utf8(static_cast<char32_t>(unit), out);
    return nullptr;
  }
  if (!take_literal(cursor, "\\u")) return kLoneSurrogate;
  const int low = take_hex4(cursor);
  if (low < 0) return kBadEscape;
  if (!is_low_surrogate(low)) return kLoneSurrogate;
  append_utf8(static_cast<char32_t>(0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00)), out);
  return nullptr;
}

// Behind a backslash.
Flaw take_escape(Cursor& cursor, std::string& out) {
  if (cursor.at_end()) return kUnterminated;
  switch (*cursor.next++) {
    case '"':
      out += '"';
      return nullptr;
    case '\\':
      out += '\\';
      return nullptr;
    case '/':
      out += '/';
      return nullptr;
    case 'b':
      out += '\b';
      return nullptr;
    case 'f':
      out += '\f';
      return nullptr;
    case 'n':
      out += '\n';
      return nullptr;
    case 'r':
      out += '\r';
      return nullptr;
    case 't':
      out += '\t';
      return nullptr;
    case 'u':
      return take_unicode_escape(cursor, out);
    default:
      return kBadEscape;
  }
}

}  // namespace

Utf8Step utf8_step(const char* next, const char* end) noexcept {
  const auto byte_at = [next](std::size_t i) { return static_cast<unsigned char>(next[i]); };
  const unsigned char lead = byte_at(0);
  if (lead < 0x80) return {1, true};
  // The allowed range of the second byte excludes overlong forms, surrogates and beyond U+10FFFF.
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  const auto left = static_cast<std::size_t>(end - next);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == left || byte_at(i) < low || byte_at(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

const char* skip_plain_text(const char* next, const char* end) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    while (end - next >= 8) {
      std::uint64_t word;
      std::memcpy(&word, next, sizeof word);
      // Below 0x20 borrows into its top bit; a wrong bit can only stand behind a right one.
      const std::uint64_t special =
          (zero_bytes(word ^ (kEachByte * '"')) | zero_bytes(word ^ (kEachByte * '\\')) |
           (word - kEachByte * 0x20) | word) &
          kTopBits;
      if (special != 0) return next + std::countr_zero(special) / 8;
      next += 8;
    }
  }
  while (next != end && is_plain(*next)) ++next;
  return next;
}

bool is_utf8(std::string_view text) noexcept {
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    next = skip_plain_text(next, end);
    if (next == end) break;
    const Utf8Step step = utf8_step(next, end);
    if (!step.valid) return false;
    next += step.length;
  }
  return true;
}

Flaw read_string(Cursor& cursor, std::string& scratch, std::string_view& text) {
  const char* run = ++cursor.next;  // what is not yet in scratch
  bool copied = false;
  for (;;) {
    cursor.next = skip_plain_text(cursor.next, cursor.end);
    if (cursor.at_end()) return kUnterminated;
    const char c = *cursor.next;
    if (c == '"') break;
    if (c == '\\') {
      if (!copied) scratch.clear();
      copied = true;
      scratch.append(run, cursor.next);
      ++cursor.next;
      if (const Flaw flaw = take_escape(cursor, scratch)) return flaw;
      run = cursor.next;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      return "an unescaped control character in a string";
    } else {
      const Utf8Step step = utf8_step(cursor.next, cursor.end);
      if (!step.valid) return "invalid UTF-8 in a string";
      cursor.next += step.length;
    }
  }
  text = {run, static_cast<std::size_t>(cursor.next - run)};
  if (copied) text = scratch.append(text);
  ++cursor.next;
  return nullptr;
}

void append_utf8(char32_t code_point, std::string& out) {
  const auto continuation = [code_point](unsigned shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | (code_point >> 6));
    out += continuation(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | (code_point >> 12));
    out += continuation(6);
    out += continuation(0);
  } else {
    out += static_cast<char>(0xF0 | (code_point >> 18));
    out += continuation(12);
    out += continuation(6);
    out += continuation(0);
  }
}

}  // namespace slipstream::wire
