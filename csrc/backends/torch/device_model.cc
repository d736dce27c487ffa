#include "backends/torch/device_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "backends/torch/device_computation.h"
#include "backends/torch/failures.h"
#include "backends/torch/package_model.h"
#include "backends/torch/script_model.h"
#include "backends/torch/shared_device.h"
#include "device/device_instance.h"
#include "device/graphed_computation.h"

namespace slipstream::libtorch {
namespace {

Status check_options(const TorchOptions& options) {
  if (!options.states.empty()) {
    return invalid_argument(
        "torch backend: the module changes its attributes, and those are kept on the host; load it "
        "on the cpu");
  }
  for (const auto* const side : {&options.inputs, &options.outputs}) {
    const auto text = std::ranges::find(*side, DType::kString, &TensorSpec::dtype);
    if (text == side->end()) continue;
    return invalid_argument("torch backend: '" + text->name +
                            "' holds text, which no GPU takes; load the model on the cpu");
  }
  return Status::ok();
}

Result<std::unique_ptr<Model>> load_on(const TorchTarget& target, const ModelConfig& config,
                                       const TorchOptions& options) {
  return options.kind == Kind::kScript ? ScriptModel::load(config, options, target.place)
                                       : PackageModel::load(config, options, target.place);
}

}  // namespace

Result<std::unique_ptr<Model>> DeviceModel::load(const ModelConfig& config, TorchOptions options) {
  if (Status status = check_options(options); !status.is_ok()) return status;
  std::unique_ptr<DeviceModel> made(new DeviceModel(std::move(options)));
  for (const int ordinal : made->options_.devices) {
    Result<TorchTarget> opened = open_target(ordinal);
    if (!opened.is_ok()) return opened.status();
    TorchTarget target = std::move(opened).value();
    target.device = std::make_shared<SharedDevice>(std::move(target.device), &give_back_unused);
    const device::Entered entered(*target.device);
    // A package allocates its weights beside libtorch, and says only that this failed.
    if (made->options_.kind == Kind::kPackage) give_back_unused();
    made->copies_.push_back({target, nullptr});
    Result<std::unique_ptr<Model>> model = load_on(target, config, made->options_);
    if (!model.is_ok()) return model.status();
    wait_for_work(target.place);  // weights: instances compute on other streams
    made->copies_.back().model = std::move(model).value();
  }
  return std::unique_ptr<Model>(std::move(made));
}

DeviceModel::~DeviceModel() {
  for (Copy& copy : copies_) {
    const device::Entered entered(*copy.target.device);
    copy.model.reset();
    give_back_unused();
  }
}

Result<std::unique_ptr<Instance>> DeviceModel::create_instance() noexcept {
  return guarded(
      "torch backend: no instance can be made", [this]() -> Result<std::unique_ptr<Instance>> {
        device::Place place = places_.take();
        const Copy& copy = copies_[place.index()];
        const bool is_recorded = options_.graph_rows > 0 && may_run_inline();
        auto computation = std::make_unique<DeviceComputation>(
            copy.target, std::move(place), *copy.model,
            is_recorded ? DeviceComputation::Outputs::kCopied
                        : DeviceComputation::Outputs::kHandedOver);
        const device::Entered entered(*copy.target.device);
        if (Status status = computation->build(); !status.is_ok()) return status;
        return device::DeviceInstance::create(
            copy.target.device,
            device::recorded(std::move(computation), is_recorded ? options_.graph_rows : 0, spec()),
            spec(), {.slots = options_.slots});
      });
}

}  // namespace slipstream::libtorch
