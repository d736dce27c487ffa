// text_table: the strings that a file stores as two arrays, i64 ends and u8 bytes.
//
// Threads: any. Ownership: the views point into the file. Failure: complaints go to `is`; the
// result is then empty. Throws std::bad_alloc.
#pragma once

#include <string_view>
#include <vector>

#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

// Whether the text is UTF-8, without surrogates and overlong forms.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// Arrays `index` and `index` + 1 of the step.
[[nodiscard]] std::vector<std::string_view> text_table(StepChecks& is, std::size_t index);

}  // namespace slipstream::forest
