// The words for values that are wrong for a model. Off the hot path; throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"
#include "wire/cursor.h"
#include "wire/fault.h"
#include "wire/value_kind.h"

namespace slipstream::wire {

// At most 40 bytes of `text`, cut between characters, control characters as '?'.
[[nodiscard]] std::string excerpt(std::string_view text);

// excerpt() in single quotes, for names.
[[nodiscard]] std::string quoted(std::string_view text);

// "expected a number, got a string"; "300 is beyond int8": why a value of this kind is none for the
// dtype; `number` is the value's text where it is one.
[[nodiscard]] std::string describe_fault(Fault fault, DType dtype, ValueKind kind,
                                         const std::string& number);

// Of the value at the cursor.
template <class Format>
[[nodiscard]] std::string describe_fault(Fault fault, DType dtype, const Cursor& cursor) {
  const ValueKind kind = Format::kind(cursor);
  return describe_fault(fault, dtype, kind,
                        kind == ValueKind::kNumber ? Format::number_text(cursor) : std::string());
}

// The shortest text of a number, a float's where it `is_float`; "NaN", "Infinity", "-Infinity".
[[nodiscard]] std::string text_of_number(double value, bool is_float);

// "1 value", "3 values".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view noun);

}  // namespace slipstream::wire
