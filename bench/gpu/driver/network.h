// A TorchScript file on a device, called by libtorch itself; and as a Computation, recorded and
// replayed by the pipeline as the torch backend's own are.
//
// Threads: one at a time, which has entered the device. Ownership: a NetworkComputation keeps the
// network. Failure: a Status with what libtorch says.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>

#include "backends/torch/target.h"
#include "core/backend.h"
#include "core/shape.h"
#include "device/pipeline.h"

namespace slipstream::bench_gpu {

class Network {
 public:
  // On the device of that number. One input of that type and shape, whose first dimension is rows.
  [[nodiscard]] static Result<std::shared_ptr<Network>> open(const std::string& path, int ordinal,
                                                             DType dtype, const Shape& shape);
  Network(libtorch::TorchTarget target, torch::jit::Module module)
      : target_(std::move(target)), module_(std::move(module)) {}

  [[nodiscard]] const libtorch::TorchTarget& target() const noexcept { return target_; }
  [[nodiscard]] device::Device& device() const noexcept { return *target_.device; }
  // Its one input and its one output, with any number of rows.
  [[nodiscard]] const ModelSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] const Shape& input_shape() const noexcept { return input_shape_; }
  [[nodiscard]] const Shape& output_shape() const noexcept { return output_shape_; }

  // From memory on the device to memory on the device, on the stream that libtorch uses now. Throws
  // what libtorch throws.
  void run(const Tensor& from, Tensor& to);

 private:
  [[nodiscard]] Status describe(DType dtype, const Shape& shape);

  libtorch::TorchTarget target_;
  torch::jit::Module module_;
  ModelSpec spec_;
  Shape input_shape_;
  Shape output_shape_;
};

class NetworkComputation final : public device::Computation {
 public:
  explicit NetworkComputation(std::shared_ptr<Network> network) : network_(std::move(network)) {}
  ~NetworkComputation() override;

  [[nodiscard]] device::Stream& stream() noexcept override { return *stream_; }
  [[nodiscard]] Status enqueue(device::Slot& slot) noexcept override;
  void tear_down() noexcept override { stream_.reset(); }
  [[nodiscard]] Status build() noexcept override;

 private:
  const std::shared_ptr<Network> network_;
  std::unique_ptr<libtorch::ComputeStream> stream_;
};

}  // namespace slipstream::bench_gpu
