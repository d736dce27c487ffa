// Stepping over JSON values with a full check of their syntax, and with no recursion. This is the
// one place that says what is not JSON: readers of values only notice that they cannot go on, and
// check_json then finds the flaw and words it.
//
// Threads: any. Throws std::bad_alloc.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/status.h"
#include "wire/cursor.h"
#include "wire/text.h"

namespace slipstream::wire {

// Steps over one value (and space in front of it). On a flaw the cursor stands where it was found.
// `max_depth` counts lists and objects inside each other.
[[nodiscard]] Flaw skip_value(Cursor& cursor, std::size_t max_depth);

// kMalformed, with what and where, unless `json` is exactly one value.
[[nodiscard]] Status check_json(std::string_view json, std::size_t max_depth);

}  // namespace slipstream::wire
