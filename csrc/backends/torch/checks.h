// What is checked of every execution: libtorch would take a wrong dtype or rank for something else,
// or fail with a message about an operator somewhere inside.
#pragma once

#include <span>
#include <vector>

#include "backends/torch/options.h"
#include "core/backend.h"
#include "core/status.h"

namespace slipstream::libtorch {

//   kInvalidArgument: number, dtypes, ranks or sizes differ from what the model takes
[[nodiscard]] Status check_inputs(std::span<const Tensor> inputs,
                                  const std::vector<TensorSpec>& specs);

//   kInvalidArgument: axes that must have one size differ, or are out of its range
[[nodiscard]] Status check_sizes(std::span<const Tensor> inputs,
                                 const std::vector<TensorSpec>& specs,
                                 const std::vector<SizeRule>& rules);

//   kInternal: rows were batched, and the answer has another number of them
[[nodiscard]] Status check_rows(const ModelSpec& spec, const Execution& execution,
                                const std::vector<Tensor>& outputs);

}  // namespace slipstream::libtorch
