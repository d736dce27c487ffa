// add, subtract, multiply, divide, clip: float64, one operation an element, in the order given.
#include <functional>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"

namespace slipstream::forest {
namespace {

// x (op) a constant for each column.
template <class F>
class ConstantStep final : public Step {
 public:
  ConstantStep(ValueType result, std::vector<std::uint32_t> inputs,
               std::span<const double> constants)
      : Step(result, std::move(inputs)), constants_(constants) {}

  void run(const StepCall& call) const override {
    const double* const constants = constants_.data();
    map_columns(input(call), call.rows, result().width, call.out_as<double>(),
                [constants](double x, std::size_t column) { return F{}(x, constants[column]); });
  }

 private:
  std::span<const double> constants_;
};

// x (op) y, of the same width.
template <class F>
class PairStep final : public Step {
 public:
  using Step::Step;

  void run(const StepCall& call) const override {
    const Columns& x = input(call, 0);
    const Columns& y = input(call, 1);
    double* out = call.out_as<double>();
    for (std::size_t row = 0; row < call.rows; ++row) {
      const double* const left = x.row<double>(row);
      const double* const right = y.row<double>(row);
      for (std::size_t i = 0; i < result().width; ++i) out[i] = F{}(left[i], right[i]);
      out += result().width;
    }
  }
};

template <class F>
StepResult make_arithmetic(const StepSpec& spec) {
  StepChecks is(spec);
  const bool is_pair = spec.inputs.size() == 2;
  is.shape(is_pair ? 2 : 1, is_pair ? 0 : 1, 0);
  is.type_is(DType::kFloat64);
  const ValueType type{.dtype = DType::kFloat64, .width = is.type().width};
  if (is_pair) {
    is.type_is(DType::kFloat64, 1);
    is.width_is(type.width, 1);
    if (!is.ok()) return is.status();
    return std::unique_ptr<Step>(std::make_unique<PairStep<F>>(type, spec.inputs));
  }
  const auto constants = is.array<double>(0, "the array of constants");
  is.require(constants.size() == 1 || constants.size() == type.width,
             "the array of constants has neither one entry nor one per column");
  if (!is.ok()) return is.status();
  if (constants.size() == 1) {
    const double constant = constants[0];
    return make_map<double, double>(spec, DType::kFloat64,
                                    [constant](double x) { return F{}(x, constant); });
  }
  return std::unique_ptr<Step>(std::make_unique<ConstantStep<F>>(type, spec.inputs, constants));
}

}  // namespace

StepResult make_add(const StepSpec& spec) {
  return make_arithmetic<std::plus<>>(spec);
}
StepResult make_subtract(const StepSpec& spec) {
  return make_arithmetic<std::minus<>>(spec);
}
StepResult make_multiply(const StepSpec& spec) {
  return make_arithmetic<std::multiplies<>>(spec);
}
StepResult make_divide(const StepSpec& spec) {
  return make_arithmetic<std::divides<>>(spec);
}

StepResult make_clip(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 2);
  is.type_is(DType::kFloat64);
  const double low = is.scalar(0);
  const double high = is.scalar(1);
  is.require(!(low != low) && !(high != high), "a limit is NaN");
  if (!is.ok()) return is.status();
  return make_map<double, double>(spec, DType::kFloat64, [low, high](double x) {
    const double raised = x < low ? low : x;  // NaN is below nothing, so it stays
    return raised > high ? high : raised;
  });
}

}  // namespace slipstream::forest
