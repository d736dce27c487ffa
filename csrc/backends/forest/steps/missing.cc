// is_missing, replace_missing: what imputers do.
#include <cmath>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"

namespace slipstream::forest {
namespace {

// Which value stands for a missing one: NaN, or a number.
struct Missing {
  double value;

  bool operator()(double x) const noexcept {
    return std::isnan(value) ? std::isnan(x) : x == value;
  }
};

class ReplaceStep final : public Step {
 public:
  ReplaceStep(ValueType result, std::vector<std::uint32_t> inputs, Missing missing,
              std::span<const double> replacements)
      : Step(result, std::move(inputs)), missing_(missing), replacements_(replacements) {}

  void run(const StepCall& call) const override {
    const Missing missing = missing_;
    const double* const replacements = replacements_.data();
    map_columns(input(call), call.rows, result().width, call.out_as<double>(),
                [missing, replacements](double x, std::size_t column) {
                  return missing(x) ? replacements[column] : x;
                });
  }

 private:
  Missing missing_;
  std::span<const double> replacements_;
};

}  // namespace

StepResult make_is_missing(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 1);
  is.type_is(DType::kFloat64);
  if (!is.ok()) return is.status();
  const Missing missing{is.scalar(0)};
  return make_map<double, double>(spec, DType::kFloat64,
                                  [missing](double x) { return missing(x) ? 1.0 : 0.0; });
}

StepResult make_replace_missing(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 1);
  is.type_is(DType::kFloat64);
  const auto replacements = is.array<double>(0, "the array of replacements");
  is.require(replacements.size() == is.type().width, "the replacements are not one per column");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = DType::kFloat64, .width = is.type().width};
  return std::unique_ptr<Step>(
      std::make_unique<ReplaceStep>(type, spec.inputs, Missing{is.scalar(0)}, replacements));
}

}  // namespace slipstream::forest
