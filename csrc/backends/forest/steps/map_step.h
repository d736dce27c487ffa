// MapStep: a step that computes each element from one element, by a function object of two types.
//
// Threads, ownership, failure: as step.h says; running cannot fail.
#pragma once

#include <memory>
#include <utility>

#include "backends/forest/steps/loops.h"
#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

template <class From, class To, class F>
class MapStep final : public Step {
 public:
  MapStep(ValueType result, std::vector<std::uint32_t> inputs, F f)
      : Step(result, std::move(inputs)), f_(std::move(f)) {}

  void run(const StepCall& call) const override {
    map_elements<From>(input(call), call.rows, result().width, call.out_as<To>(), f_);
  }

 private:
  F f_;
};

// A step of the same width whose elements are f(x).
template <class From, class To, class F>
[[nodiscard]] StepResult make_map(const StepSpec& spec, DType result, F f) {
  const ValueType type{.dtype = result, .width = spec.types[0].width};
  return std::unique_ptr<Step>(
      std::make_unique<MapStep<From, To, F>>(type, spec.inputs, std::move(f)));
}

// The same for a function object that takes float64 and float32 alike; the result has x's type.
template <class F>
[[nodiscard]] StepResult make_floating_map(const StepSpec& spec, F f) {
  if (spec.types[0].dtype == DType::kFloat32) {
    return make_map<float, float>(spec, DType::kFloat32, f);
  }
  return make_map<double, double>(spec, DType::kFloat64, f);
}

}  // namespace slipstream::forest
