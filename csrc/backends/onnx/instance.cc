#include "backends/onnx/instance.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <utility>

#include "backends/onnx/ort_values.h"

namespace slipstream::onnx {
namespace {

// Whether `data` lies in the memory of an input. A graph that passes an input straight through
// answers with that very memory, which the caller may reuse as soon as execute returns.
bool borrows_from(const std::byte* data, std::span<const Tensor> inputs) {
  return std::ranges::any_of(inputs, [data](const Tensor& input) {
    const std::byte* const begin = input.data();
    return !std::less<>{}(data, begin) && std::less<>{}(data, begin + input.bytes());
  });
}

Tensor copy_of(const Tensor& source, std::pmr::memory_resource* memory) {
  Tensor copy = Tensor::allocate(source.dtype(), source.shape(), memory);
  std::memcpy(copy.data(), source.data(), source.bytes());
  return copy;
}

}  // namespace

Result<std::unique_ptr<Instance>> OnnxInstance::create(const OnnxModel& model) {
  const Api& api = model.runtime().api;
  OrtRunOptions* run_options = nullptr;
  if (OrtStatus* const failed = api.CreateRunOptions(&run_options)) {
    return take_status(api, failed, Phase::kRun, "onnx backend: no instance can be created");
  }
  return std::unique_ptr<Instance>(
      new OnnxInstance(model, Owned<OrtRunOptions>(run_options, api.ReleaseRunOptions)));
}

OnnxInstance::OnnxInstance(const OnnxModel& model, Owned<OrtRunOptions> run_options)
    : model_(model), runtime_(model.runtime()), run_options_(std::move(run_options)) {
  const ModelSpec& spec = model.spec();
  for (const TensorSpec& input : spec.inputs) input_names_.push_back(input.name.c_str());
  input_values_.reserve(spec.inputs.size());
  output_names_.reserve(spec.outputs.size());
  output_indices_.reserve(spec.outputs.size());
  output_values_.reserve(spec.outputs.size());
}

Status OnnxInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  Status status;
  try {
    status = run(execution, outputs);
  } catch (const std::bad_alloc&) {
    status = resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    status = internal_error(error.what());
  }
  release_values();
  return status;
}

Status OnnxInstance::run(const Execution& execution, std::vector<Tensor>& outputs) {
  if (Status status = wrap_inputs(execution.inputs); !status.is_ok()) return status;
  select_outputs(execution);
  outputs.assign(model_.spec().outputs.size(), Tensor{});
  if (output_names_.empty()) return Status::ok();
  // Null entries ask ONNX Runtime to allocate the outputs itself.
  output_values_.assign(output_names_.size(), nullptr);
  if (OrtStatus* const failed =
          runtime_.api.Run(model_.session(), run_options_.get(), input_names_.data(),
                           input_values_.data(), input_values_.size(), output_names_.data(),
                           output_names_.size(), output_values_.data())) {
    return take_status(runtime_.api, failed, Phase::kRun, "onnx backend");
  }
  return take_outputs(execution, outputs);
}

Status OnnxInstance::wrap_inputs(std::span<const Tensor> inputs) {
  if (inputs.size() != input_names_.size()) {
    return invalid_argument("onnx backend: " + std::to_string(inputs.size()) +
                            " inputs given, the model takes " +
                            std::to_string(input_names_.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Result<Owned<OrtValue>> value = to_ort_value(runtime_, inputs[i], input_names_[i]);
    if (!value.is_ok()) return value.status();
    input_values_.push_back(value.value().release());
  }
  return Status::ok();
}

void OnnxInstance::select_outputs(const Execution& execution) {
  if (selected_ && execution.outputs_wanted == outputs_wanted_) return;
  output_names_.clear();
  output_indices_.clear();
  const std::vector<TensorSpec>& outputs = model_.spec().outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!execution.wants(i)) continue;
    output_names_.push_back(outputs[i].name.c_str());
    output_indices_.push_back(i);
  }
  outputs_wanted_ = execution.outputs_wanted;
  selected_ = true;
}

Status OnnxInstance::take_outputs(const Execution& execution, std::vector<Tensor>& outputs) {
  for (std::size_t i = 0; i < output_values_.size(); ++i) {
    Owned<OrtValue> value(std::exchange(output_values_[i], nullptr), runtime_.api.ReleaseValue);
    Result<Tensor> tensor =
        to_tensor(runtime_, std::move(value), output_names_[i], execution.memory);
    if (!tensor.is_ok()) return tensor.status();
    Tensor& output = outputs[output_indices_[i]];
    output = std::move(tensor).value();
    if (output.dtype() != DType::kString && borrows_from(output.data(), execution.inputs)) {
      output = copy_of(output, execution.memory);
    }
    if (model_.spec().batchable && output.rows() != execution.inputs.front().rows()) {
      return internal_error("onnx backend: output '" + std::string(output_names_[i]) + "' has " +
                            std::to_string(output.rows()) + " rows for " +
                            std::to_string(execution.inputs.front().rows()) +
                            " rows of input: the model does not work row by row; load it with "
                            "batchable=false");
    }
  }
  return Status::ok();
}

void OnnxInstance::release_values() noexcept {
  for (OrtValue* const value : input_values_) runtime_.api.ReleaseValue(value);
  for (OrtValue* const value : output_values_) {
    if (value != nullptr) runtime_.api.ReleaseValue(value);
  }
  input_values_.clear();
  output_values_.clear();
}

}  // namespace slipstream::onnx
