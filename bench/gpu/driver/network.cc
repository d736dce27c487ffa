#include "network.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <utility>
#include <vector>

#include "backends/torch/failures.h"
#include "backends/torch/values.h"

namespace slipstream::bench_gpu {
namespace {

std::vector<std::int64_t> any_rows(const Shape& shape) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.front() = -1;
  return dims;
}

}  // namespace

Result<std::shared_ptr<Network>> Network::open(const std::string& path, int ordinal, DType dtype,
                                               const Shape& shape) {
  Result<libtorch::TorchTarget> target = libtorch::open_target(ordinal);
  if (!target.is_ok()) return target.status();
  const device::Entered entered(*target.value().device);
  return libtorch::guarded("the network", [&]() -> Result<std::shared_ptr<Network>> {
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    torch::jit::getProfilingMode() = false;  // as the torch backend calls what it loaded
    torch::jit::getExecutorMode() = false;
    torch::jit::Module module = torch::jit::load(path, target.value().place);
    module.eval();
    auto made =
        std::make_shared<Network>(std::move(target).value(), torch::jit::freeze(std::move(module)));
    if (Status status = made->describe(dtype, shape); !status.is_ok()) return status;
    made->device().drain();  // its weights came by another stream than those it will run on
    return made;
  });
}

Status Network::describe(DType dtype, const Shape& shape) {
  const at::Tensor input =
      at::empty(shape.dims(), at::dtype(libtorch::scalar_type_of(dtype)).device(target_.place));
  input.zero_();
  const at::Tensor output = module_.forward({input}).toTensor();
  const auto given = libtorch::dtype_of(output.scalar_type());
  if (!given || output.dim() == 0 || output.size(0) != shape[0]) {
    return invalid_argument("the network answers no tensor with as many rows as it was given");
  }
  input_shape_ = shape;
  output_shape_ = Shape(std::span(output.sizes().data(), output.sizes().size()));
  spec_.inputs.push_back({"x", dtype, any_rows(input_shape_)});
  spec_.outputs.push_back({"y", *given, any_rows(output_shape_)});
  spec_.batchable = true;
  return Status::ok();
}

void Network::run(const Tensor& from, Tensor& to) {
  const c10::InferenceMode inference;
  const at::Tensor answer =
      module_.forward({libtorch::to_torch(from, target_.place, /*copied=*/false)}).toTensor();
  libtorch::to_torch(to, target_.place, /*copied=*/false).copy_(answer, /*non_blocking=*/true);
}

NetworkComputation::~NetworkComputation() {
  const device::Entered entered(network_->device());
  stream_.reset();
}

Status NetworkComputation::build() noexcept {
  return libtorch::guarded("a stream", [this] {
    Result<std::unique_ptr<libtorch::ComputeStream>> stream =
        libtorch::make_stream(network_->target());
    if (!stream.is_ok()) return stream.status();
    stream_ = std::move(stream).value();
    return Status::ok();
  });
}

Status NetworkComputation::enqueue(device::Slot& slot) noexcept {
  return libtorch::guarded("the network failed", [&] {
    const device::Slot::Input& input = slot.inputs()[0];
    const Shape shape = network_->output_shape().with_rows(slot.padded_rows());
    const Result<void*> placed = slot.place_output(0, shape);
    if (!placed.is_ok()) return placed.status();
    Tensor to =
        Tensor::wrap(network_->spec().outputs[0].dtype, Shape(shape), placed.value(), nullptr);
    const libtorch::StreamScope scope(*stream_);
    network_->run(Tensor::wrap(input.dtype, Shape(input.shape), input.address, nullptr), to);
    return Status::ok();
  });
}

}  // namespace slipstream::bench_gpu
