#include "replay.h"

#include <utility>

#include "backends/torch/failures.h"
#include "waiting.h"

namespace slipstream::bench_gpu {
namespace {

constexpr int kWarmups = 3;  // before it is recorded: libraries choose and allocate the first time

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.elements()) * dtype_size(dtype);
}

// Moves what was made to its place, or says why there is none.
template <class T, class From>
Status take(std::unique_ptr<T>& place, Result<std::unique_ptr<From>> made) {
  if (!made.is_ok()) return made.status();
  place = std::move(made).value();
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<Replay>> Replay::create(std::shared_ptr<Network> network) {
  auto made = std::make_unique<Replay>(std::move(network));
  const device::Entered entered(made->network_->device());
  Status status = libtorch::guarded("the network", [&] { return made->build(); });
  if (!status.is_ok()) return status;
  return made;
}

Replay::~Replay() {
  const device::Entered entered(network_->device());
  network_->device().drain();
  graph_.reset();
  stream_.reset();
}

std::span<std::byte> Replay::input() const noexcept {
  return {static_cast<std::byte*>(host_in_->address()), host_in_->bytes()};
}

std::span<const std::byte> Replay::output() const noexcept {
  return {static_cast<const std::byte*>(host_out_->address()), host_out_->bytes()};
}

Status Replay::allocate() {
  device::Device& device = network_->device();
  const std::size_t in = bytes_of(network_->input_shape(), network_->spec().inputs[0].dtype);
  const std::size_t out = bytes_of(network_->output_shape(), network_->spec().outputs[0].dtype);
  Status status = take(host_in_, device.allocate_pinned(in));
  if (status.is_ok()) status = take(host_out_, device.allocate_pinned(out));
  if (status.is_ok()) status = take(device_in_, device.allocate(in));
  if (status.is_ok()) status = take(device_out_, device.allocate(out));
  if (status.is_ok()) status = take(done_, device.create_event());
  if (status.is_ok()) status = take(begin_, device.create_event(device::Timing::kTimed));
  if (status.is_ok()) status = take(end_, device.create_event(device::Timing::kTimed));
  if (status.is_ok()) status = take(stream_, libtorch::make_stream(network_->target()));
  return status;
}

Status Replay::build() {
  if (Status status = allocate(); !status.is_ok()) return status;
  for (int i = 0; i < kWarmups; ++i) {
    if (Status status = compute(); !status.is_ok()) return status;
  }
  network_->device().drain();
  if (!stream_->begin_capture().is_ok()) return Status::ok();  // is_recorded() tells
  const Status computed = compute();
  Result<std::unique_ptr<device::Graph>> graph = stream_->end_capture();
  if (computed.is_ok() && graph.is_ok()) graph_ = std::move(graph).value();
  return Status::ok();
}

Status Replay::compute() {
  if (graph_ != nullptr) return stream_->launch(*graph_);
  return libtorch::guarded("the network failed", [this] {
    Tensor to = Tensor::wrap(network_->spec().outputs[0].dtype, Shape(network_->output_shape()),
                             device_out_->address(), nullptr);
    const libtorch::StreamScope scope(*stream_);
    network_->run(Tensor::wrap(network_->spec().inputs[0].dtype, Shape(network_->input_shape()),
                               device_in_->address(), nullptr),
                  to);
    return Status::ok();
  });
}

Status Replay::call(std::span<Nanoseconds> took) {
  const device::Entered entered(network_->device());
  const std::size_t in = host_in_->bytes();
  const std::size_t out = host_out_->bytes();
  for (Nanoseconds& one : took) {
    const Nanoseconds begin = now_ns();
    Status status = stream_->copy_to_device(device_in_->address(), host_in_->address(), in);
    if (status.is_ok()) status = compute();
    if (status.is_ok()) {
      status = stream_->copy_to_host(host_out_->address(), device_out_->address(), out);
    }
    if (status.is_ok()) status = stream_->record(*done_);
    if (status.is_ok()) status = wait(*done_);
    if (!status.is_ok()) return status;
    one = now_ns() - begin;
  }
  return Status::ok();
}

Result<Nanoseconds> Replay::back_to_back(std::int64_t times) {
  const device::Entered entered(network_->device());
  Status status = stream_->record(*begin_);
  for (std::int64_t i = 0; status.is_ok() && i < times; ++i) status = compute();
  if (status.is_ok()) status = stream_->record(*end_);
  if (status.is_ok()) status = wait(*end_);
  if (!status.is_ok()) return status;
  return end_->since(*begin_);
}

}  // namespace slipstream::bench_gpu
