#include "backends/tensorrt/instance.h"

#include <new>
#include <string>

namespace slipstream::tensorrt {
namespace {

Status check(const ModelSpec& spec, std::span<const Tensor> inputs) {
  if (inputs.size() != spec.inputs.size()) {
    return invalid_argument("tensorrt backend: " + std::to_string(inputs.size()) +
                            " inputs given, the model takes " + std::to_string(spec.inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& wanted = spec.inputs[i];
    const std::string begin = "tensorrt backend: input '" + wanted.name + "' is ";
    if (inputs[i].dtype() != wanted.dtype) {
      return invalid_argument(begin + std::string(dtype_name(inputs[i].dtype())) +
                              ", the model takes " + std::string(dtype_name(wanted.dtype)));
    }
    if (inputs[i].shape().rank() != wanted.dims.size()) {
      return invalid_argument(begin + to_string(inputs[i].shape().dims()) + ", the model takes " +
                              to_string(wanted.dims));
    }
    if (spec.batchable && inputs[i].rows() != inputs[0].rows()) {
      return invalid_argument(begin + "of " + std::to_string(inputs[i].rows()) + " rows, and '" +
                              spec.inputs[0].name + "' of " + std::to_string(inputs[0].rows()));
    }
  }
  return Status::ok();
}

}  // namespace

Status TensorRtInstance::execute(const Execution& execution,
                                 std::vector<Tensor>& outputs) noexcept {
  try {
    if (Status status = check(spec_, execution.inputs); !status.is_ok()) return status;
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
  return inner_->execute(execution, outputs);
}

}  // namespace slipstream::tensorrt
