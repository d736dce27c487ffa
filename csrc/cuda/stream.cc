#include "cuda/stream.h"

#include <new>

#include "cuda/event.h"
#include "cuda/graph.h"

namespace slipstream::cuda {
namespace {

CUdeviceptr device_address(const void* address) noexcept {
  return reinterpret_cast<CUdeviceptr>(address);
}

Status foreign_event() {
  return invalid_argument("the event is not one of a CUDA device");
}

}  // namespace

Result<std::unique_ptr<device::Stream>> CudaStream::create(
    const std::shared_ptr<Context>& context) {
  if (Status status = context->usable(); !status.is_ok()) return status;
  CUstream handle = nullptr;
  Status status = context->check(context->call().stream_create(&handle, CU_STREAM_NON_BLOCKING),
                                 "cuStreamCreate");
  if (!status.is_ok()) return status;
  return std::unique_ptr<device::Stream>(std::make_unique<CudaStream>(context, handle));
}

CudaStream::~CudaStream() {
  context_->destroy([this] { return context_->call().stream_destroy(handle_); });
}

Status CudaStream::copy_to_device(void* to, const void* from, std::size_t bytes) noexcept {
  if (Status status = context_->usable(); !status.is_ok() || bytes == 0) return status;
  return context_->check(
      context_->call().memcpy_to_device(device_address(to), from, bytes, handle_),
      "cuMemcpyHtoDAsync");
}

Status CudaStream::copy_to_host(void* to, const void* from, std::size_t bytes) noexcept {
  if (Status status = context_->usable(); !status.is_ok() || bytes == 0) return status;
  return context_->check(context_->call().memcpy_to_host(to, device_address(from), bytes, handle_),
                         "cuMemcpyDtoHAsync");
}

Status CudaStream::record(device::Event& event) noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  auto* const known = dynamic_cast<CudaEvent*>(&event);
  return known != nullptr ? known->record_on(*context_, handle_) : foreign_event();
}

Status CudaStream::wait(device::Event& event) noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  auto* const known = dynamic_cast<CudaEvent*>(&event);
  if (known == nullptr) return foreign_event();
  return context_->check(
      context_->call().stream_wait_event(handle_, known->handle(), CU_EVENT_WAIT_DEFAULT),
      "cuStreamWaitEvent");
}

Status CudaStream::call(void (*function)(void*) noexcept, void* context) noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  return context_->check(context_->call().launch_host_func(handle_, function, context),
                         "cuLaunchHostFunc");
}

Status CudaStream::begin_capture() noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  return context_->check(
      context_->call().stream_begin_capture(handle_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
      "cuStreamBeginCapture");
}

Result<std::unique_ptr<device::Graph>> CudaStream::end_capture() noexcept {
  CUgraph recorded = nullptr;
  Status status = context_->check(context_->call().stream_end_capture(handle_, &recorded),
                                  "cuStreamEndCapture");
  if (!status.is_ok()) return status;
  try {
    return CudaGraph::create(context_.shared(), recorded);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

Status CudaStream::launch(device::Graph& graph) noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  auto* const known = dynamic_cast<CudaGraph*>(&graph);
  if (known == nullptr) return invalid_argument("the graph is not one of a CUDA device");
  return context_->check(context_->call().graph_launch(known->handle(), handle_), "cuGraphLaunch");
}

}  // namespace slipstream::cuda
