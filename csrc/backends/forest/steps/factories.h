// One factory an op, implemented in the file of its family.
//
// Each checks the step's inputs, arrays and scalars and infers its result. kInvalidArgument says
// what is wrong; throws std::bad_alloc. What each op computes stands in docs/forest-format.md.
#pragma once

#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

// trees.cc
[[nodiscard]] StepResult make_trees(const StepSpec& spec);
// columns.cc
[[nodiscard]] StepResult make_concat(const StepSpec& spec);
[[nodiscard]] StepResult make_take_columns(const StepSpec& spec);
[[nodiscard]] StepResult make_cast(const StepSpec& spec);
// arithmetic.cc
[[nodiscard]] StepResult make_add(const StepSpec& spec);
[[nodiscard]] StepResult make_subtract(const StepSpec& spec);
[[nodiscard]] StepResult make_multiply(const StepSpec& spec);
[[nodiscard]] StepResult make_divide(const StepSpec& spec);
[[nodiscard]] StepResult make_clip(const StepSpec& spec);
// function.cc
[[nodiscard]] StepResult make_function(const StepSpec& spec);
// links.cc
[[nodiscard]] StepResult make_sigmoid(const StepSpec& spec);
[[nodiscard]] StepResult make_softmax(const StepSpec& spec);
[[nodiscard]] StepResult make_normalize(const StepSpec& spec);
[[nodiscard]] StepResult make_complement(const StepSpec& spec);
// reduce.cc
[[nodiscard]] StepResult make_matmul(const StepSpec& spec);
[[nodiscard]] StepResult make_sum_columns(const StepSpec& spec);
[[nodiscard]] StepResult make_weighted_median(const StepSpec& spec);
// missing.cc
[[nodiscard]] StepResult make_is_missing(const StepSpec& spec);
[[nodiscard]] StepResult make_replace_missing(const StepSpec& spec);
// encode.cc
[[nodiscard]] StepResult make_interpolate(const StepSpec& spec);
[[nodiscard]] StepResult make_one_hot(const StepSpec& spec);
[[nodiscard]] StepResult make_digitize(const StepSpec& spec);
// lookup.cc
[[nodiscard]] StepResult make_lookup_number(const StepSpec& spec);
[[nodiscard]] StepResult make_lookup_text(const StepSpec& spec);
// refuse.cc
[[nodiscard]] StepResult make_refuse(const StepSpec& spec);
[[nodiscard]] StepResult make_refuse_cells(const StepSpec& spec);
// decide.cc
[[nodiscard]] StepResult make_argmax(const StepSpec& spec);
[[nodiscard]] StepResult make_greater(const StepSpec& spec);
[[nodiscard]] StepResult make_label_number(const StepSpec& spec);
[[nodiscard]] StepResult make_label_text(const StepSpec& spec);

}  // namespace slipstream::forest
