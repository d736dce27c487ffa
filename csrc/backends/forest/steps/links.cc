// sigmoid, softmax, normalize, complement: from raw scores to probabilities.
//
// Each library has its own: another order of operations is another last bit, and sometimes another
// label.
#include <algorithm>
#include <cmath>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"
#include "backends/forest/steps/numpy_sum.h"
#include "backends/forest/steps/row_step.h"

namespace slipstream::forest {
namespace {

// XGBoost's, where the tiny term keeps compilers from simplifying and the bound keeps exp finite.
float xgboost_sigmoid(float x) {
  constexpr float kTiny = 1e-16F;
  constexpr float kLargest = 88.7F;
  return 1.0F / (std::exp(std::min(-x, kLargest)) + 1.0F + kTiny);
}

// np.max of a row: NaN if there is one.
template <class T>
T numpy_max(const T* x, std::size_t count) {
  T largest = x[0];
  for (std::size_t i = 1; i < count; ++i) {
    if (std::isnan(largest)) return largest;
    if (!(x[i] <= largest)) largest = x[i];
  }
  return largest;
}

template <class T>
void scikit_softmax(const T* x, T* out, std::size_t width) {
  const T largest = numpy_max(x, width);
  for (std::size_t i = 0; i < width; ++i) out[i] = std::exp(x[i] - largest);
  const T sum = numpy_sum(out, width);
  for (std::size_t i = 0; i < width; ++i) out[i] /= sum;
}

template <class T>
void lightgbm_softmax(const T* x, T* out, std::size_t width) {
  T largest = x[0];
  for (std::size_t i = 1; i < width; ++i) largest = std::max(x[i], largest);
  T sum{0};
  for (std::size_t i = 0; i < width; ++i) {
    out[i] = std::exp(x[i] - largest);
    sum += out[i];
  }
  for (std::size_t i = 0; i < width; ++i) out[i] /= sum;
}

// In float32, with the sum in float64.
void xgboost_softmax(const float* x, float* out, std::size_t width) {
  float largest = x[0];
  for (std::size_t i = 1; i < width; ++i) largest = std::fmax(x[i], largest);
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) {
    out[i] = std::exp(x[i] - largest);
    sum += static_cast<double>(out[i]);
  }
  for (std::size_t i = 0; i < width; ++i) out[i] /= static_cast<float>(sum);
}

template <class T>
StepResult make_softmax_of(const StepSpec& spec, std::uint32_t variant) {
  const ValueType type = spec.types[0];
  const std::size_t width = type.width;
  if (variant == 1) {
    return make_row_step<T, T>(spec, type,
                               [width](const T* x, T* out) { lightgbm_softmax(x, out, width); });
  }
  return make_row_step<T, T>(spec, type,
                             [width](const T* x, T* out) { scikit_softmax(x, out, width); });
}

template <class T>
StepResult make_normalize_of(const StepSpec& spec, bool uniform_if_zero) {
  const ValueType type = spec.types[0];
  const std::size_t width = type.width;
  return make_row_step<T, T>(spec, type, [width, uniform_if_zero](const T* x, T* out) {
    const T sum = numpy_sum(x, width);
    if (sum != T{0}) {
      for (std::size_t i = 0; i < width; ++i) out[i] = x[i] / sum;
    } else if (uniform_if_zero) {
      std::fill_n(out, width, T{1} / static_cast<T>(width));
    } else {
      std::copy_n(x, width, out);
    }
  });
}

template <class T>
StepResult make_complement_of(const StepSpec& spec) {
  const ValueType type{.dtype = spec.types[0].dtype, .width = 2};
  return make_row_step<T, T>(spec, type, [](const T* x, T* out) {
    out[0] = T{1} - x[0];
    out[1] = x[0];
  });
}

}  // namespace

StepResult make_sigmoid(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 2);
  const double scale = is.scalar(0);
  const bool is_xgboost = is.whole(1, "the variant of the sigmoid", 0, 1) == 1;
  if (is_xgboost) {
    is.type_is(DType::kFloat32);
    is.require(scale == 1.0, "XGBoost's sigmoid has a scale of 1");
    if (!is.ok()) return is.status();
    return make_map<float, float>(spec, DType::kFloat32, xgboost_sigmoid);
  }
  is.is_floating();
  if (!is.ok()) return is.status();
  return make_floating_map(spec, [scale](auto x) {
    using T = decltype(x);
    return T{1} / (T{1} + std::exp(-static_cast<T>(scale) * x));
  });
}

StepResult make_softmax(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 1);
  const std::uint32_t variant = is.whole(0, "the variant of the softmax", 0, 2);
  const std::size_t width = is.type().width;
  if (variant == 2) {
    is.type_is(DType::kFloat32);
    if (!is.ok()) return is.status();
    return make_row_step<float, float>(spec, spec.types[0], [width](const float* x, float* out) {
      xgboost_softmax(x, out, width);
    });
  }
  is.is_floating();
  if (!is.ok()) return is.status();
  const bool is_float32 = is.type().dtype == DType::kFloat32;
  return is_float32 ? make_softmax_of<float>(spec, variant)
                    : make_softmax_of<double>(spec, variant);
}

StepResult make_normalize(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 1);
  is.is_floating();
  const bool uniform_if_zero = is.whole(0, "the variant of normalize", 0, 1) == 0;
  if (!is.ok()) return is.status();
  return is.type().dtype == DType::kFloat32 ? make_normalize_of<float>(spec, uniform_if_zero)
                                            : make_normalize_of<double>(spec, uniform_if_zero);
}

StepResult make_complement(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 0);
  is.is_floating();
  is.width_is(1);
  if (!is.ok()) return is.status();
  return is.type().dtype == DType::kFloat32 ? make_complement_of<float>(spec)
                                            : make_complement_of<double>(spec);
}

}  // namespace slipstream::forest
