#include "backends/torch/package_model.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <string>
#include <utility>

#include "backends/torch/checks.h"
#include "backends/torch/failures.h"
#include "backends/torch/target.h"
#include "backends/torch/threads.h"
#include "backends/torch/values.h"

namespace slipstream::libtorch {
namespace {

constexpr const char* kModelName = "model";  // of the only one in a package of one

// The end of the range of the rows; 0 where there is none.
std::int64_t most_rows(const TorchOptions& options) {
  for (const SizeRule& rule : options.sizes) {
    const auto is_rows = [](const Axis& place) { return place.axis == 0; };
    if (options.batchable && std::ranges::all_of(rule.places, is_rows)) return rule.most;
  }
  return 0;
}

bool has_strings(const std::vector<TensorSpec>& tensors) {
  return std::ranges::any_of(
      tensors, [](const TensorSpec& tensor) { return tensor.dtype == DType::kString; });
}

bool is_on_device(const TorchOptions& options) {
  return !options.devices.empty();
}

}  // namespace

Result<std::unique_ptr<Model>> PackageModel::load(const ModelConfig& config, TorchOptions options,
                                                  c10::Device place) {
  if (has_strings(options.inputs) || has_strings(options.outputs)) {
    return invalid_argument("torch backend: a package takes and gives tensors of numbers only");
  }
  const c10::InferenceMode inference;
  auto model = std::make_unique<PackageModel>(config.path, std::move(options), place);
  const std::string device = model->compiled_for();
  const std::string wanted = place.is_cpu() ? "cpu" : "cuda";
  if (!device.empty() && device != wanted) {
    return invalid_argument("torch backend: the package was compiled for '" + device +
                            "', and not for '" + wanted + "': load it there, or compile it again");
  }
  return std::unique_ptr<Model>(std::move(model));
}

PackageModel::PackageModel(const std::string& path, TorchOptions options, c10::Device place)
    : options_(std::move(options)),
      place_(place),
      spec_{options_.inputs, options_.outputs, options_.batchable, most_rows(options_)},
      loader_(std::make_unique<torch::inductor::AOTIModelPackageLoader>(
          path, kModelName, /*run_single_threaded=*/is_on_device(options_),
          is_on_device(options_) ? 1 : static_cast<std::size_t>(options_.runners), place.index())) {
}

std::vector<at::Tensor> PackageModel::run(const std::vector<at::Tensor>& inputs) const {
  if (!is_on_device(options_)) return loader_->run(inputs);
  const std::scoped_lock lock(mutex_);
  std::vector<at::Tensor> outputs = loader_->run(inputs);
  // The first call may compute constants, on its stream, that those on others rely on.
  if (!has_run_) wait_for_work(place_);
  has_run_ = true;
  return outputs;
}

std::string PackageModel::compiled_for() const {
  const auto metadata = loader_->get_metadata();
  const auto found = metadata.find("AOTI_DEVICE_KEY");
  return found == metadata.end() ? std::string() : found->second;
}

Result<std::unique_ptr<Instance>> PackageModel::create_instance() noexcept {
  return guarded("torch backend: no instance can be made",
                 [this]() -> Result<std::unique_ptr<Instance>> {
                   return std::unique_ptr<Instance>(std::make_unique<PackageInstance>(*this));
                 });
}

Status PackageInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  return guarded("the model failed", [&] { return run(execution, outputs); });
}

Status PackageInstance::run(const Execution& execution, std::vector<Tensor>& outputs) const {
  const ModelSpec& spec = model_.spec();
  if (Status status = check_inputs(execution.inputs, spec.inputs); !status.is_ok()) return status;
  Status sizes = check_sizes(execution.inputs, spec.inputs, model_.options().sizes);
  if (!sizes.is_ok()) return sizes;
  const ThreadsScope threads(model_.options().intra_op_threads);
  const c10::InferenceMode inference;
  std::vector<at::Tensor> arguments;
  arguments.reserve(execution.inputs.size());
  for (const Tensor& input : execution.inputs) {
    arguments.push_back(to_torch(input, model_.place(), model_.options().copy_inputs));
  }
  std::vector<at::Tensor> results = model_.run(arguments);
  if (results.size() != spec.outputs.size()) {
    return internal_error("the package gave " + std::to_string(results.size()) + " outputs, not " +
                          std::to_string(spec.outputs.size()));
  }
  outputs.assign(spec.outputs.size(), Tensor{});
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!execution.wants(i)) continue;
    const TensorSpec& output = spec.outputs[i];
    Result<Tensor> tensor = to_core(std::move(results[i]), model_.place(), output.dtype,
                                    output.name, execution.inputs, execution.memory);
    if (!tensor.is_ok()) return tensor.status();
    outputs[i] = std::move(tensor).value();
  }
  return check_rows(spec, execution, outputs);
}

}  // namespace slipstream::libtorch
