// EchoInstance: copies inputs to outputs, after the delay and the failures that were asked for.
//
// Threads: one at a time. Ownership: refers to its model, which outlives it. Failure:
//   kInvalidArgument    the inputs do not fit the spec
//   kInternal           fail_every or fail_value struck
//   kResourceExhausted  no memory for the outputs
#pragma once

#include <vector>

#include "backends/echo/model.h"
#include "core/backend.h"

namespace slipstream::echo {

class EchoInstance final : public Instance {
 public:
  explicit EchoInstance(EchoModel& model) noexcept : model_(model) {}

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;

 private:
  // May throw std::bad_alloc.
  [[nodiscard]] Status run(const Execution& execution, std::vector<Tensor>& outputs);
  [[nodiscard]] Status check(std::span<const Tensor> inputs) const;

  EchoModel& model_;
};

}  // namespace slipstream::echo
