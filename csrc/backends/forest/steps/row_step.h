// RowStep: a step that computes each row of its result from one row of x, by a function object.
//
// Threads, ownership, failure: as step.h says; running cannot fail.
#pragma once

#include <memory>
#include <utility>

#include "backends/forest/steps/loops.h"
#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

// f(const From* row, To* out).
template <class From, class To, class F>
class RowStep final : public Step {
 public:
  RowStep(ValueType result, std::vector<std::uint32_t> inputs, F f)
      : Step(result, std::move(inputs)), f_(std::move(f)) {}

  void run(const StepCall& call) const override {
    map_rows<From>(input(call), call.rows, result().width, call.out_as<To>(), f_);
  }

 private:
  F f_;
};

template <class From, class To, class F>
[[nodiscard]] StepResult make_row_step(const StepSpec& spec, ValueType result, F f) {
  return std::unique_ptr<Step>(
      std::make_unique<RowStep<From, To, F>>(result, spec.inputs, std::move(f)));
}

}  // namespace slipstream::forest
