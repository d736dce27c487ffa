#include "backends/torch/device_computation.h"

#include <c10/core/InferenceMode.h>

#include <utility>
#include <vector>

#include "backends/torch/failures.h"
#include "backends/torch/values.h"

namespace slipstream::libtorch {

DeviceComputation::DeviceComputation(TorchTarget target, device::Place place, Model& model,
                                     Outputs outputs)
    : target_(std::move(target)), place_(std::move(place)), model_(model), outputs_(outputs) {}

DeviceComputation::~DeviceComputation() {
  const device::Entered entered(*target_.device);
  DeviceComputation::tear_down();
}

// The model's weights stay: a context that is lost takes them along, and they cannot be made anew
// here. recover() then says that the process must be restarted.
void DeviceComputation::tear_down() noexcept {
  instance_.reset();
  stream_.reset();
}

Status DeviceComputation::build() noexcept {
  return guarded("torch backend: no instance can be made", [this] {
    Result<std::unique_ptr<ComputeStream>> stream = make_stream(target_);
    if (!stream.is_ok()) return stream.status();
    Result<std::unique_ptr<Instance>> instance = model_.create_instance();
    if (!instance.is_ok()) return instance.status();
    stream_ = std::move(stream).value();
    instance_ = std::move(instance).value();
    return Status::ok();
  });
}

Status DeviceComputation::enqueue(device::Slot& slot) noexcept {
  return guarded("the model failed", [&] { return run(slot); });
}

Status DeviceComputation::run(device::Slot& slot) {
  std::vector<Tensor> inputs;
  inputs.reserve(slot.inputs().size());
  for (const device::Slot::Input& input : slot.inputs()) {
    inputs.push_back(Tensor::wrap(input.dtype, input.shape, input.address, nullptr));
  }
  const StreamScope scope(*stream_);
  std::vector<Tensor> outputs;
  Status status =
      instance_->execute({.inputs = inputs, .outputs_wanted = slot.outputs_wanted()}, outputs);
  for (std::size_t i = 0; status.is_ok() && i < outputs.size(); ++i) {
    if (slot.wants(i)) status = set_output(slot, i, outputs[i]);
  }
  return status;
}

Status DeviceComputation::set_output(device::Slot& slot, std::size_t number, const Tensor& output) {
  if (outputs_ == Outputs::kHandedOver) {
    slot.set_output(number, output.shape(), const_cast<std::byte*>(output.data()), output.owner());
    return Status::ok();
  }
  const Result<void*> placed = slot.place_output(number, output.shape());
  if (!placed.is_ok()) return placed.status();
  if (output.elements() == 0) return Status::ok();
  const c10::InferenceMode inference;
  Tensor there = Tensor::wrap(output.dtype(), output.shape(), placed.value(), nullptr);
  to_torch(there, target_.place, /*copied=*/false)
      .copy_(to_torch(output, target_.place, /*copied=*/false), /*non_blocking=*/true);
  return Status::ok();
}

}  // namespace slipstream::libtorch
