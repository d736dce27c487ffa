#include "core/compose/combine.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
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
                              std::string(dtype_name(tensor.dtype())) + "; vote over labels");
    }
  }
  for (double& sum : sums) sum /= total;
  if (is_double) return one_output(std::move(mean));
  Tensor rounded = Tensor::allocate(DType::kFloat32, mean.shape());
  const auto target = rounded.as<float>();
  for (std::size_t i = 0; i < sums.size(); ++i) target[i] = static_cast<float>(sums[i]);
  return one_output(std::move(rounded));
}

template <class Element>
bool widen(const Tensor& tensor, std::span<std::int64_t> labels) {
  const auto elements = tensor.as<Element>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!std::in_range<std::int64_t>(elements[i])) return false;
    labels[i] = static_cast<std::int64_t>(+elements[i]);  // +: int8_t is a number here
  }
  return true;
}

// The tensor's labels as int64; false when they are no integers, or too large.
bool read_labels(const Tensor& tensor, std::span<std::int64_t> labels) {
  switch (tensor.dtype()) {
    case DType::kInt8:
      return widen<std::int8_t>(tensor, labels);
    case DType::kInt16:
      return widen<std::int16_t>(tensor, labels);
    case DType::kInt32:
      return widen<std::int32_t>(tensor, labels);
    case DType::kInt64:
      return widen<std::int64_t>(tensor, labels);
    case DType::kBool:
    case DType::kUint8:
      return widen<std::uint8_t>(tensor, labels);
    case DType::kUint16:
      return widen<std::uint16_t>(tensor, labels);
    case DType::kUint32:
      return widen<std::uint32_t>(tensor, labels);
    case DType::kUint64:
      return widen<std::uint64_t>(tensor, labels);
    case DType::kFloat16:
    case DType::kBfloat16:
    case DType::kFloat32:
    case DType::kFloat64:
    case DType::kString:
      return false;
  }
  return false;
}

// The winner among one element's labels. Ensembles are small: comparing each with each is quick.
std::int64_t elect(std::span<const std::int64_t> labels, std::span<const double> weights) {
  std::int64_t winner = 0;
  double most = -1;
  for (const std::int64_t candidate : labels) {
    double votes = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == candidate) votes += weights[i];
    }
    if (votes > most || (votes == most && candidate < winner)) {
      winner = candidate;
      most = votes;
    }
  }
  return winner;
}

Result<std::vector<Tensor>> vote_of(const std::vector<const Tensor*>& tensors,
                                    std::span<const double> weights) {
  const auto elements = static_cast<std::size_t>(tensors.front()->elements());
  std::vector<std::int64_t> labels(elements * tensors.size());  // member by member
  for (std::size_t member = 0; member < tensors.size(); ++member) {
    const std::span<std::int64_t> own(labels.data() + member * elements, elements);
    if (read_labels(*tensors[member], own)) continue;
    return invalid_argument("the vote takes integer labels within int64, member " +
                            std::to_string(member + 1) + " answers with " +
                            std::string(dtype_name(tensors[member]->dtype())) +
                            "; take the mean of numbers");
  }
  Tensor winners = Tensor::allocate(DType::kInt64, tensors.front()->shape());
  const auto target = winners.as<std::int64_t>();
  std::vector<std::int64_t> ballot(tensors.size());
  for (std::size_t i = 0; i < elements; ++i) {
    for (std::size_t member = 0; member < ballot.size(); ++member) {
      ballot[member] = labels[member * elements + i];
    }
    target[i] = elect(ballot, weights);
  }
  return one_output(std::move(winners));
}

template <class Reduce>
Combine over_one_output(std::size_t output, std::vector<double> weights, Reduce reduce) {
  return [output, weights = std::move(weights),
          reduce](Answers answers) -> Result<std::vector<Tensor>> {
    const Result<std::vector<double>> checked = weights_for(weights, answers.size());
    if (!checked.is_ok()) return checked.status();
    const Result<std::vector<const Tensor*>> tensors = pick(answers, output);
    if (!tensors.is_ok()) return tensors.status();
    return reduce(tensors.value(), checked.value());
  };
}

}  // namespace

Combine weighted_mean(std::size_t output, std::vector<double> weights) {
  return over_one_output(output, std::move(weights), mean_of);
}

Combine weighted_vote(std::size_t output, std::vector<double> weights) {
  return over_one_output(output, std::move(weights), vote_of);
}

}  // namespace slipstream
