#include "backends/torch/checks.h"

#include <algorithm>
#include <string>

namespace slipstream::libtorch {
namespace {

bool fits(const Tensor& tensor, const TensorSpec& spec) {
  return tensor.dtype() == spec.dtype &&
         std::ranges::equal(
             tensor.shape().dims(), spec.dims,
             [](std::int64_t size, std::int64_t wanted) { return wanted == -1 || size == wanted; });
}

}  // namespace

Status check_inputs(std::span<const Tensor> inputs, const std::vector<TensorSpec>& specs) {
  if (inputs.size() != specs.size()) {
    return invalid_argument("the model takes " + std::to_string(specs.size()) + " inputs, not " +
                            std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (fits(inputs[i], specs[i])) continue;
    return invalid_argument(
        "input '" + specs[i].name + "' takes " + std::string(dtype_name(specs[i].dtype)) + " " +
        to_string(specs[i].dims) + ", not " + std::string(dtype_name(inputs[i].dtype())) + " " +
        to_string(inputs[i].shape().dims()));
  }
  return Status::ok();
}

Status check_sizes(std::span<const Tensor> inputs, const std::vector<TensorSpec>& specs,
                   const std::vector<SizeRule>& rules) {
  const auto place_name = [&specs](const Axis& place) {
    return "axis " + std::to_string(place.axis) + " of input '" + specs[place.input].name + "'";
  };
  for (const SizeRule& rule : rules) {
    const Axis& first = rule.places.front();
    const std::int64_t size = inputs[first.input].shape()[first.axis];
    if (size < rule.least || size > rule.most) {
      return invalid_argument(place_name(first) + " has size " + std::to_string(size) +
                              "; the model was exported for " + std::to_string(rule.least) +
                              " to " + std::to_string(rule.most));
    }
    for (const Axis& place : rule.places) {
      const std::int64_t other = inputs[place.input].shape()[place.axis];
      if (other == size) continue;
      return invalid_argument(place_name(place) + " has size " + std::to_string(other) + ", and " +
                              place_name(first) + " " + std::to_string(size) +
                              "; the model takes them of one size");
    }
  }
  return Status::ok();
}

Status check_rows(const ModelSpec& spec, const Execution& execution,
                  const std::vector<Tensor>& outputs) {
  if (!spec.batchable) return Status::ok();
  const std::int64_t rows = execution.inputs.front().rows();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!execution.wants(i) || outputs[i].rows() == rows) continue;
    return internal_error(
        "output '" + spec.outputs[i].name + "' has " + std::to_string(outputs[i].rows()) +
        " rows for " + std::to_string(rows) +
        " rows of input: the model does not answer row by row; load it with \"batching\": false "
        "in models.json");
  }
  return Status::ok();
}

}  // namespace slipstream::libtorch
