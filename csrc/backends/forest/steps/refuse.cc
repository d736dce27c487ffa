// refuse: rows that the source library would raise for.
#include <cmath>
#include <string>
#include <utility>

#include "backends/forest/refusal.h"
#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/text_table.h"

namespace slipstream::forest {
namespace {

class RefuseStep final : public Step {
 public:
  RefuseStep(std::vector<std::uint32_t> inputs, double value, std::string text)
      : Step(ValueType{.dtype = DType::kFloat64, .width = 1}, std::move(inputs)),
        value_(value),
        text_(std::move(text)) {}

  void run(const StepCall& call) const override {
    const Columns& x = input(call);
    auto* const out = call.out_as<double>();
    bool is_refused = false;
    for (std::size_t row = 0; row < call.rows; ++row) {
      out[row] = *x.row<double>(row);
      is_refused |= std::isnan(value_) ? std::isnan(out[row]) : out[row] == value_;
    }
    if (is_refused) throw Refusal(text_);
  }
  [[nodiscard]] bool refuses() const noexcept override { return true; }

 private:
  double value_;
  std::string text_;
};

}  // namespace

StepResult make_refuse(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 1);
  is.type_is(DType::kFloat64);
  is.width_is(1);
  const auto text = is.array<std::uint8_t>(0, "the text");
  std::string reason(text.begin(), text.end());
  is.require(is_utf8(reason), "the text is not UTF-8");
  if (!is.ok()) return is.status();
  return std::unique_ptr<Step>(
      std::make_unique<RefuseStep>(spec.inputs, is.scalar(0), std::move(reason)));
}

}  // namespace slipstream::forest
