// DeviceComputation: an instance of libtorch's whose tensors lie on a device, between the copies of
// a pipeline.
//
// Inputs are views of the slot's memory. Outputs are handed over where libtorch left them, or are
// copied to the slot's memory on the device, where batches are recorded as graphs: those need
// addresses that stay.
//
// Threads, failure: as a Computation. Ownership: owns the instance, shares the device.
#pragma once

#include <memory>

#include "backends/torch/target.h"
#include "core/backend.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::libtorch {

class DeviceComputation final : public device::Computation {
 public:
  enum class Outputs : bool { kHandedOver, kCopied };

  // To be built before it is used.
  DeviceComputation(TorchTarget target, device::Place place, Model& model, Outputs outputs);
  ~DeviceComputation() override;

  [[nodiscard]] device::Stream& stream() noexcept override { return *stream_; }
  [[nodiscard]] bool places_outputs() const noexcept override {
    return outputs_ == Outputs::kCopied;
  }
  [[nodiscard]] Status enqueue(device::Slot& slot) noexcept override;
  void tear_down() noexcept override;
  [[nodiscard]] Status build() noexcept override;

 private:
  [[nodiscard]] Status run(device::Slot& slot);
  [[nodiscard]] Status set_output(device::Slot& slot, std::size_t number, const Tensor& output);

  const TorchTarget target_;
  const device::Place place_;
  Model& model_;
  const Outputs outputs_;
  std::unique_ptr<ComputeStream> stream_;
  std::unique_ptr<Instance> instance_;
};

}  // namespace slipstream::libtorch
