// function: one of a list of functions of one number, in the type it gets.
#include <cmath>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"

namespace slipstream::forest {
namespace {

// The list, by code. What a library computes in several operations is done in the same ones here.
template <class T>
T expit(T x) {
  return T{1} / (T{1} + std::exp(-x));
}
// As scipy.special.logit: near a half, where the odds are near 1, without losing places.
template <class T>
T logit(T x) {
  const auto wide = static_cast<double>(x);
  if (wide < 0.3 || wide > 0.65) return std::log(x / (T{1} - x));
  const T s = T{2} * (x - T{0.5});
  return std::log1p(s) - std::log1p(-s);
}
template <class T>
T signed_square(T x) {
  const int sign = static_cast<int>(x > T{0}) - static_cast<int>(x < T{0});
  return static_cast<T>(sign) * x * x;
}

}  // namespace

StepResult make_function(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 1);
  is.is_floating();
  const std::uint32_t code = is.whole(0, "the code of the function", 0, 13);
  if (!is.ok()) return is.status();
  switch (code) {
    case 0:
      return make_floating_map(spec, [](auto x) { return std::exp(x); });
    case 1:
      return make_floating_map(spec, [](auto x) { return std::log(x); });
    case 2:
      return make_floating_map(spec, [](auto x) { return std::sqrt(x); });
    case 3:
      return make_floating_map(spec, [](auto x) { return -x; });
    case 4:
      return make_floating_map(spec, [](auto x) { return std::fabs(x); });
    case 5:
      return make_floating_map(spec, [](auto x) { return std::log1p(std::exp(x)); });
    case 6:
      return make_floating_map(spec, [](auto x) { return signed_square(x); });
    case 7:
      return make_floating_map(spec, [](auto x) { return expit(x); });
    case 8:
      return make_floating_map(spec, [](auto x) { return x * x; });
    case 9:
      return make_floating_map(spec, [](auto x) { return std::exp2(x); });
    case 10:
      return make_floating_map(spec, [](auto x) { return std::log1p(x); });
    case 11:
      return make_floating_map(spec, [](auto x) { return std::expm1(x); });
    case 12:
      return make_floating_map(spec, [](auto x) { return decltype(x){1} / x; });
    default:
      return make_floating_map(spec, [](auto x) { return logit(x); });
  }
}

}  // namespace slipstream::forest
