// DeviceModel: a TorchScript archive or an AOTInductor package on one or several GPUs. Weights are
// once on each; every instance has a stream and a pipeline of its own (csrc/device).
//
// Threads: of the model any, immutable after load. Ownership: instances are destroyed before the
// model; tensors that they gave may outlive it. Failure: as the models on the CPU, and as
// open_target() without a usable GPU, kResourceExhausted where it has no memory; kInvalidArgument
// for what only the CPU takes: texts, numbers that are no tensors, modules that remember.
#pragma once

#include <memory>
#include <vector>

#include "backends/torch/options.h"
#include "backends/torch/target.h"
#include "core/backend.h"
#include "device/places.h"

namespace slipstream::libtorch {

class DeviceModel final : public Model {
 public:
  // Throws std::bad_alloc, and what libtorch throws.
  [[nodiscard]] static Result<std::unique_ptr<Model>> load(const ModelConfig& config,
                                                           TorchOptions options);

  // Others have the memory then: libtorch would keep it.
  ~DeviceModel() override;
  DeviceModel(const DeviceModel&) = delete;
  DeviceModel& operator=(const DeviceModel&) = delete;

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return copies_[0].model->spec(); }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  [[nodiscard]] bool may_run_inline() const noexcept override {
    return copies_[0].model->may_run_inline();
  }

 private:
  // The model on one of the devices. Its instances take and give tensors of which the memory is
  // there.
  struct Copy {
    TorchTarget target;
    std::unique_ptr<Model> model;
  };

  explicit DeviceModel(TorchOptions options)
      : options_(std::move(options)), places_(options_.devices.size()) {}

  const TorchOptions options_;
  std::vector<Copy> copies_;  // one a device, in the order of the options
  device::Places places_;
};

}  // namespace slipstream::libtorch
