// The words for values that are wrong for a model. Off the hot path; throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"
#include "wire/cursor.h"
#include "wire/fault.h"

namespace slipstream::wire {

// At most 40 bytes of `text`, cut between characters, control characters as '?'.
[[nodiscard]] std::string excerpt(std::string_view text);

// excerpt() in single quotes, for names.
[[nodiscard]] std::string quoted(std::string_view text);

// "a string", "null", "a list", ... by the first byte of a value.
[[nodiscard]] std::string_view kind_of_value(const Cursor& cursor) noexcept;

// "expected a number, got a string"; "300 is beyond int8": why the value at the cursor is none for
// the dtype.
[[nodiscard]] std::string describe_fault(Fault fault, DType dtype, const Cursor& cursor);

// "1 value", "3 values".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view noun);

}  // namespace slipstream::wire
