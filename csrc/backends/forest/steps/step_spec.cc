#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

void StepChecks::shape(std::size_t inputs, std::size_t arrays, std::size_t scalars) {
  const auto expect = [this](const char* what, std::size_t given, std::size_t wanted) {
    if (given == wanted || !ok()) return;
    status_ = invalid_argument("it has " + std::to_string(given) + " " + what + ", it takes " +
                               std::to_string(wanted));
  };
  expect("inputs", spec_.inputs.size(), inputs);
  expect("arrays", spec_.arrays.size(), arrays);
  expect("scalars", spec_.scalars.size(), scalars);
}

const ValueType& StepChecks::type(std::size_t input) const noexcept {
  static constexpr ValueType kHarmless{};
  return input < spec_.types.size() ? spec_.types[input] : kHarmless;
}

void StepChecks::type_is(DType dtype, std::size_t input) {
  if (ok() && type(input).dtype != dtype) wrong_dtype("input", dtype, type(input).dtype);
}

void StepChecks::is_floating(std::size_t input) {
  if (type(input).dtype != DType::kFloat32) type_is(DType::kFloat64, input);
}

void StepChecks::width_is(std::uint32_t width, std::size_t input) {
  if (!ok() || type(input).width == width) return;
  status_ = invalid_argument("its input has " + std::to_string(type(input).width) +
                             " columns, it takes " + std::to_string(width));
}

double StepChecks::scalar(std::size_t index) const noexcept {
  return index < spec_.scalars.size() ? spec_.scalars[index] : 0.0;
}

std::uint32_t StepChecks::whole(std::size_t index, const char* name, std::uint32_t low,
                                std::uint32_t high) {
  const double value = scalar(index);
  // Written so that NaN fails.
  const bool fits = value >= low && value <= high && std::trunc(value) == value;
  if (fits) return static_cast<std::uint32_t>(value);
  if (ok()) {
    status_ = invalid_argument(std::string(name) + " is " + std::to_string(value) +
                               ", it must be a whole number from " + std::to_string(low) + " to " +
                               std::to_string(high));
  }
  return low;
}

void StepChecks::wrong_dtype(const char* name, DType wanted, DType given) {
  status_ = invalid_argument(std::string(name) + " is " + std::string(dtype_name(given)) +
                             ", it takes " + std::string(dtype_name(wanted)));
}

}  // namespace slipstream::forest
