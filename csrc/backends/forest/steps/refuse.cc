// refuse, refuse_cells: rows that the source library would raise for.
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
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

// What a table may hold, as scikit-learn's check_array decides it before anything is computed.
class RefuseCellsStep final : public Step {
 public:
  RefuseCellsStep(std::vector<std::uint32_t> inputs, std::span<const double> limits,
                  std::span<const std::uint8_t> refuses_missing,
                  const std::vector<std::string_view>& names)
      : Step(ValueType{.dtype = DType::kFloat64, .width = 1}, std::move(inputs)), limits_(limits) {
    for (std::size_t column = 0; column < names.size(); ++column) {
      const std::string name(names[column]);
      missing_refused_.push_back(refuses_missing[column] != 0 ? 1.0 : 0.0);
      missing_.push_back(name + " is missing, which this model does not take");
      large_.push_back(name + " is infinite or too large, which this model does not take");
    }
  }

  void run(const StepCall& call) const override {
    const Columns& x = input(call);
    for (std::size_t row = 0; row < call.rows; ++row) {
      call.out_as<double>()[row] = 0.0;
      if (!is_clean(x.row<double>(row))) refuse(x.row<double>(row));
    }
  }
  [[nodiscard]] bool refuses() const noexcept override { return true; }

 private:
  // Without a branch a cell, for compilers to do several at a time.
  [[nodiscard]] bool is_clean(const double* row) const noexcept {
    unsigned bad = 0;
    for (std::size_t column = 0; column < limits_.size(); ++column) {
      const double x = row[column];
      const auto is_large = static_cast<unsigned>(std::fabs(x) > limits_[column]);
      const auto is_missing = static_cast<unsigned>(x != x);
      bad |= is_large | (is_missing & static_cast<unsigned>(missing_refused_[column] != 0.0));
    }
    return bad == 0;
  }
  [[noreturn]] void refuse(const double* row) const {
    for (std::size_t column = 0; column < limits_.size(); ++column) {
      if (std::fabs(row[column]) > limits_[column]) throw Refusal(large_[column]);
      if (std::isnan(row[column]) && missing_refused_[column] != 0.0)
        throw Refusal(missing_[column]);
    }
    throw Refusal(missing_.front());  // not reached: the row is not clean
  }

  std::span<const double> limits_;
  std::vector<double> missing_refused_;  // 1 where a column may have no NaN
  std::vector<std::string> missing_;
  std::vector<std::string> large_;
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

StepResult make_refuse_cells(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 4, 0);
  is.type_is(DType::kFloat64);
  const auto limits = is.array<double>(0, "the array of limits");
  const auto missing = is.array<std::uint8_t>(1, "the array of what is refused if missing");
  const std::vector<std::string_view> names = text_table(is, 2);
  const std::size_t width = is.type().width;
  is.require(limits.size() == width && missing.size() == width && names.size() == width,
             "there is not one limit, flag and name a column");
  is.require(std::ranges::none_of(limits, [](double limit) { return std::isnan(limit); }),
             "a limit is NaN");
  if (!is.ok()) return is.status();
  return std::unique_ptr<Step>(
      std::make_unique<RefuseCellsStep>(spec.inputs, limits, missing, names));
}

}  // namespace slipstream::forest
