// argmax, greater, label_number, label_text: from scores to a class, and from a class to its name.
#include <cmath>
#include <string>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"
#include "backends/forest/steps/row_step.h"
#include "backends/forest/steps/text_table.h"

namespace slipstream::forest {
namespace {

// As np.argmax: the first largest, or the first NaN.
template <class T>
std::int64_t argmax(const T* x, std::size_t width) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < width && !std::isnan(x[best]); ++i) {
    if (!(x[i] <= x[best])) best = i;
  }
  return static_cast<std::int64_t>(best);
}

template <class T>
StepResult make_argmax_of(const StepSpec& spec) {
  const std::size_t width = spec.types[0].width;
  const ValueType type{.dtype = DType::kInt64, .width = 1, .labels = width};
  return make_row_step<T, std::int64_t>(
      spec, type, [width](const T* x, std::int64_t* out) { *out = argmax(x, width); });
}

template <class T>
StepResult make_greater_of(const StepSpec& spec, double limit, bool or_equal) {
  const ValueType type{.dtype = DType::kInt64, .width = 1, .labels = 2};
  return make_row_step<T, std::int64_t>(
      spec, type, [limit, or_equal](const T* x, std::int64_t* out) {
        const auto value = static_cast<double>(*x);
        *out = static_cast<std::int64_t>(or_equal ? value >= limit : value > limit);
      });
}

// What both kinds of label take: a class, and a name for each that there can be.
void check_label(StepChecks& is, std::size_t table_size) {
  is.type_is(DType::kInt64);
  is.width_is(1);
  is.require(is.type().labels != 0, "its input is neither argmax nor greater");
  is.require(is.type().labels <= table_size, "a class has no label");
}

template <class T>
StepResult make_label_of(const StepSpec& spec, StepChecks& is, DType dtype) {
  const auto table = is.array<T>(0, "the table of labels");
  check_label(is, table.size());
  if (!is.ok()) return is.status();
  return make_map<std::int64_t, T>(
      spec, dtype, [table](std::int64_t x) { return table[static_cast<std::size_t>(x)]; });
}

class LabelTextStep final : public Step {
 public:
  LabelTextStep(ValueType result, std::vector<std::uint32_t> inputs,
                std::vector<std::string_view> table)
      : Step(result, std::move(inputs)), table_(std::move(table)) {}

  void run(const StepCall& call) const override {
    const Columns& x = input(call);
    auto* const out = call.out_as<std::string>();
    for (std::size_t row = 0; row < call.rows; ++row) {
      out[row].assign(table_[static_cast<std::size_t>(*x.row<std::int64_t>(row))]);
    }
  }

 private:
  std::vector<std::string_view> table_;
};

}  // namespace

StepResult make_argmax(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 0);
  is.is_floating();
  if (!is.ok()) return is.status();
  return is.type().dtype == DType::kFloat32 ? make_argmax_of<float>(spec)
                                            : make_argmax_of<double>(spec);
}

StepResult make_greater(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 2);
  is.is_floating();
  is.width_is(1);
  const double limit = is.scalar(0);
  const bool or_equal = is.whole(1, "or_equal", 0, 1) == 1;
  if (!is.ok()) return is.status();
  return is.type().dtype == DType::kFloat32 ? make_greater_of<float>(spec, limit, or_equal)
                                            : make_greater_of<double>(spec, limit, or_equal);
}

StepResult make_label_number(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 0);
  if (!is.ok()) return is.status();
  if (spec.arrays[0].dtype == DType::kInt64) {
    return make_label_of<std::int64_t>(spec, is, DType::kInt64);
  }
  return make_label_of<double>(spec, is, DType::kFloat64);
}

StepResult make_label_text(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 2, 0);
  if (!is.ok()) return is.status();
  std::vector<std::string_view> table = text_table(is, 0);
  check_label(is, table.size());
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = DType::kString, .width = 1};
  return std::unique_ptr<Step>(
      std::make_unique<LabelTextStep>(type, spec.inputs, std::move(table)));
}

}  // namespace slipstream::forest
