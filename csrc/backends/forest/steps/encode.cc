// interpolate, one_hot, digitize: one column of numbers, encoded.
#include <algorithm>
#include <cmath>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"
#include "backends/forest/steps/row_step.h"

namespace slipstream::forest {
namespace {

bool ascends(std::span<const double> x) {
  return std::ranges::none_of(x, [](double value) { return std::isnan(value); }) &&
         std::ranges::is_sorted(x);
}

// Rises or falls straight from knot to knot and stays level outside, as np.interp does. A line
// between infinite values may come out as NaN from one of its ends and not from the other.
double interpolate(double x, std::span<const double> knots, std::span<const double> heights) {
  if (std::isnan(x)) return x;
  if (x < knots.front()) return heights.front();
  if (x >= knots.back()) return heights.back();
  const auto above = std::ranges::upper_bound(knots, x);
  const auto right = static_cast<std::size_t>(above - knots.begin());
  const std::size_t left = right - 1;
  if (knots[left] == x) return heights[left];
  const double slope = (heights[right] - heights[left]) / (knots[right] - knots[left]);
  const double from_left = slope * (x - knots[left]) + heights[left];
  if (!std::isnan(from_left)) return from_left;
  const double from_right = slope * (x - knots[right]) + heights[right];
  return std::isnan(from_right) && heights[left] == heights[right] ? heights[left] : from_right;
}

}  // namespace

StepResult make_interpolate(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 2, 0);
  is.type_is(DType::kFloat64);
  is.width_is(1);
  const auto knots = is.array<double>(0, "the array of knots");
  const auto heights = is.array<double>(1, "the array of values");
  is.require(!knots.empty() && knots.size() == heights.size(),
             "there are no knots, or not one value a knot");
  is.require(ascends(knots), "the knots do not ascend");
  if (!is.ok()) return is.status();
  return make_map<double, double>(
      spec, DType::kFloat64, [knots, heights](double x) { return interpolate(x, knots, heights); });
}

StepResult make_one_hot(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 2);
  is.type_is(DType::kFloat64);
  is.width_is(1);
  const std::uint32_t width = is.whole(0, "the number of columns", 1, kMaxWidth);
  const double first = is.scalar(1);
  is.require(std::isfinite(first), "the first code is not finite");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = DType::kFloat64, .width = width};
  return make_row_step<double, double>(spec, type, [width, first](const double* x, double* out) {
    std::fill_n(out, width, 0.0);
    const double column = *x - first;
    const bool is_code = column >= 0 && column < width && std::trunc(column) == column;
    if (is_code) out[static_cast<std::size_t>(column)] = 1.0;
  });
}

StepResult make_digitize(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 1);
  is.type_is(DType::kFloat64);
  is.width_is(1);
  const auto edges = is.array<double>(0, "the array of edges");
  const bool counts_equal = is.whole(0, "the side", 0, 1) == 1;
  is.require(ascends(edges), "the edges do not ascend");
  if (!is.ok()) return is.status();
  return make_map<double, double>(spec, DType::kFloat64, [edges, counts_equal](double x) {
    // NaN is above every edge, as np.searchsorted has it.
    if (std::isnan(x)) return static_cast<double>(edges.size());
    const auto end =
        counts_equal ? std::ranges::upper_bound(edges, x) : std::ranges::lower_bound(edges, x);
    return static_cast<double>(end - edges.begin());
  });
}

}  // namespace slipstream::forest
