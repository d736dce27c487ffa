// matmul, sum_columns, weighted_median: a row of numbers to fewer of them.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/row_step.h"

namespace slipstream::forest {
namespace {

// out = x @ weights, the products of each output added in the order of x's columns.
void multiply_row(const double* x, std::size_t width, const double* weights, double* out,
                  std::size_t out_width) {
  std::fill_n(out, out_width, 0.0);
  for (std::size_t k = 0; k < width; ++k) {
    const double* const row = weights + k * out_width;
    for (std::size_t j = 0; j < out_width; ++j) out[j] += x[k] * row[j];
  }
}

class Order final : public StepScratch {
 public:
  explicit Order(std::size_t width) : columns(width) {}
  std::vector<std::uint32_t> columns;
};

// The first value, in ascending order (NaN last, as NumPy sorts), at which the running sum of
// weights reaches half of their total.
double weighted_median(const double* x, std::span<const double> weights,
                       std::span<std::uint32_t> order) {
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [x](std::uint32_t a, std::uint32_t b) {
    if (x[a] < x[b]) return true;
    if (x[b] < x[a]) return false;
    const bool a_nan = std::isnan(x[a]);
    const bool b_nan = std::isnan(x[b]);
    return a_nan != b_nan ? b_nan : a < b;
  });
  double total = 0;
  for (const std::uint32_t column : order) total += weights[column];
  double sum = 0;
  for (const std::uint32_t column : order) {
    sum += weights[column];
    if (sum >= 0.5 * total) return x[column];
  }
  return x[order[0]];
}

class WeightedMedianStep final : public Step {
 public:
  WeightedMedianStep(ValueType result, std::vector<std::uint32_t> inputs,
                     std::span<const double> weights)
      : Step(result, std::move(inputs)), weights_(weights) {}

  void run(const StepCall& call) const override {
    const std::span<std::uint32_t> order = static_cast<Order*>(call.scratch)->columns;
    const std::span<const double> weights = weights_;
    map_rows<double>(input(call), call.rows, 1, call.out_as<double>(),
                     [order, weights](const double* x, double* out) {
                       *out = weighted_median(x, weights, order);
                     });
  }

  [[nodiscard]] std::unique_ptr<StepScratch> make_scratch(std::size_t) const override {
    return std::make_unique<Order>(weights_.size());
  }

 private:
  std::span<const double> weights_;
};

}  // namespace

StepResult make_matmul(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 1);
  is.type_is(DType::kFloat64);
  const std::size_t width = is.type().width;
  const std::uint32_t out_width = is.whole(0, "the number of columns out", 1, kMaxWidth);
  const auto weights = is.array<double>(0, "the array of weights");
  is.require(weights.size() == width * out_width, "the weights are not one per column in and out");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = DType::kFloat64, .width = out_width};
  return make_row_step<double, double>(spec, type,
                                       [width, weights, out_width](const double* x, double* out) {
                                         multiply_row(x, width, weights.data(), out, out_width);
                                       });
}

StepResult make_sum_columns(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 0);
  is.type_is(DType::kFloat64);
  if (!is.ok()) return is.status();
  const std::size_t width = is.type().width;
  const ValueType type{.dtype = DType::kFloat64, .width = 1};
  return make_row_step<double, double>(spec, type, [width](const double* x, double* out) {
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += x[i];
    *out = sum;
  });
}

StepResult make_weighted_median(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 0);
  is.type_is(DType::kFloat64);
  const auto weights = is.array<double>(0, "the array of weights");
  is.require(weights.size() == is.type().width, "the weights are not one per column");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = DType::kFloat64, .width = 1};
  return std::unique_ptr<Step>(std::make_unique<WeightedMedianStep>(type, spec.inputs, weights));
}

}  // namespace slipstream::forest
