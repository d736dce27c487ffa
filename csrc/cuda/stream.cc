#include "cuda/stream.h"

#include "cuda/event.h"

namespace slipstream::cuda {
namespace {

CUdeviceptr device_address(const void* address) noexcept {
  return reinterpret_cast<CUdeviceptr>(address);
}

Status foreign_event() {
  return invalid_argument("the event is not one of a CUDA device");
}

}  // namespace

Result<std::unique_ptr<device::Stream>> CudaStream::create(const std::shared_ptr<Context>& context,
                                                           int priority) {
  if (Status status = context->usable(); !status.is_ok()) return status;
  CUstream handle = nullptr;
  Status status =
      context->check(context->call().stream_create(&handle, CU_STREAM_NON_BLOCKING, priority),
                     "cuStreamCreateWithPriority");
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

}  // namespace slipstream::cuda
