// UTF-8 and JSON strings, byte by byte and eight at a time. Shared by decoding (strict: broken text
// is an error) and encoding (lenient: broken text is replaced). Threads: any; nothing is shared.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "wire/cursor.h"

namespace slipstream::wire {

// What is wrong with the bytes, as words for an error message; nullptr when nothing is.
using Flaw = const char*;

struct Utf8Step {
  std::size_t length;  // of the sequence, or of the longest part of it that could have begun one
  bool valid;
};

// The sequence at `next` (there is at least one byte). Overlong forms, surrogates and code points
// above U+10FFFF are invalid. Replacing every invalid step by one U+FFFD is what browsers and
// Python's errors="replace" do.
[[nodiscard]] Utf8Step utf8_step(const char* next, const char* end) noexcept;

// The first byte that a JSON string cannot hold as it is, or that needs a look: a quote, a
// backslash, a control character, the start of anything but ASCII.
[[nodiscard]] const char* skip_plain_text(const char* next, const char* end) noexcept;

// Whether all of it is valid.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// Reads the string at the cursor, which stands on its opening quote. `text` views the document
// where the string has no escapes, `scratch` otherwise (valid until scratch changes). Throws
// bad_alloc.
[[nodiscard]] Flaw read_string(Cursor& cursor, std::string& scratch, std::string_view& text);

// Appends a code point (not a surrogate) as UTF-8.
void append_utf8(char32_t code_point, std::string& out);

}  // namespace slipstream::wire
