#include "core/compose/combine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>

namespace slipstream {
namespace {

using Answers = std::span<std::vector<Tensor>>;

// `given`, or ones; checked against the number of members.
Result<std::vector<double>> weights_for(const std::vector<double>& given, std::size_t members) {
  if (given.empty()) return std::vector<double>(members, 1.0);
  if (given.size() != members) {
    return invalid_argument("the ensemble has " + std::to_string(members) + " members and " +
                            std::to_string(given.size()) + " weights; give one each, or none");
  }
  double sum = 0;
  for (const double weight : given) {
    if (!std::isfinite(weight) || weight < 0) {
      return invalid_argument("an ensemble's weights must be finite and not negative");
    }
    sum += weight;
  }
  if (sum == 0) return invalid_argument("an ensemble's weights must not all be zero");
  return given;
}

// Every member's tensor number `output`, all of one shape.
Result<std::vector<const Tensor*>> pick(Answers answers, std::size_t output) {
  std::vector<const Tensor*> tensors;
  tensors.reserve(answers.size());
  for (const std::vector<Tensor>& answer : answers) {
    if (output >= answer.size() || answer[output].data() == nullptr) {
      return invalid_argument("member " + std::to_string(tensors.size() + 1) +
                              " has no output number " + std::to_string(output + 1));
    }
    tensors.push_back(&answer[output]);
    if (tensors.back()->shape() == tensors.front()->shape()) continue;
    return invalid_argument(
        "member 1 answers with shape " + to_string(tensors.front()->shape().dims()) + ", member " +
        std::to_string(tensors.size()) + " with " + to_string(tensors.back()->shape().dims()) +
        "; an ensemble's members must answer alike");
  }
  return tensors;
}

Result<std::vector<Tensor>> one_output(Tensor tensor) {
  std::vector<Tensor> outputs;
  outputs.push_back(std::move(tensor));
  return outputs;
}

template <class Element>
void add_weighted(std::span<double> sums, const Tensor& tensor, double weight) {
  const auto elements = tensor.as<Element>();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] += weight * static_cast<double>(elements[i]);
  }
}

Result<std::vector<Tensor>> mean_of(const std::vector<const Tensor*>& tensors,
                                    std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  Tensor mean = Tensor::allocate(DType::kFloat64, tensors.front()->shape());
  const auto sums = mean.as<double>();
  std::ranges::fill(sums, 0.0);
  bool is_double = false;
  for (std::size_t member = 0; member < tensors.size(); ++member) {
    const Tensor& tensor = *tensors[member];
    if (tensor.dtype() == DType::kFloat64) {
      is_double = true;
      add_weighted<double>(sums, tensor, weights[member]);
    } else if (tensor.dtype() == DType::kFloat32) {
      add_weighted<float>(sums, tensor, weights[member]);
    } else {
      return invalid_argument("the mean takes float32 and float64, member " +
                              std::to_string(member + 1) + " answers with " +
                              std::string(dtype_name(tensor.dtype())) + "");
    }
  }
  for (double& sum : sums) sum /= total;
  if (is_double) return one_output(std::move(mean));
  Tensor rounded = Tensor::allocate(DType::kFloat32, mean.shape());
  const auto target = rounded.as<float>();
  for (std::size_t i = 0; i < sums.size(); ++i) target[i] = static_cast<float>(sums[i]);
  return one_output(std::move(rounded));
}

}  // namespace

Combine weighted_mean(std::size_t output, std::vector<double> weights) {
  return [output, weights = std::move(weights)](Answers answers) -> Result<std::vector<Tensor>> {
    const Result<std::vector<double>> checked = weights_for(weights, answers.size());
    if (!checked.is_ok()) return checked.status();
    const Result<std::vector<const Tensor*>> tensors = pick(answers, output);
    if (!tensors.is_ok()) return tensors.status();
    return mean_of(tensors.value(), checked.value());
  };
}

}  // namespace slipstream
