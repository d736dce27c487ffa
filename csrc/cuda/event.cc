#include "cuda/event.h"

#include <cmath>

namespace slipstream::cuda {

Result<std::unique_ptr<device::Event>> CudaEvent::create(const std::shared_ptr<Context>& context,
                                                         device::Timing timing) {
  if (Status status = context->usable(); !status.is_ok()) return status;
  CUevent handle = nullptr;
  const unsigned int flags =
      timing == device::Timing::kTimed ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING;
  Status status = context->check(context->call().event_create(&handle, flags), "cuEventCreate");
  if (!status.is_ok()) return status;
  return std::unique_ptr<device::Event>(std::make_unique<CudaEvent>(context, handle, timing));
}

CudaEvent::~CudaEvent() {
  context_->destroy([this] { return context_->call().event_destroy(handle_); });
}

Result<bool> CudaEvent::is_done() noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  if (!is_recorded_.load()) return false;
  const CUresult result = context_->call().event_query(handle_);
  if (result == CUDA_SUCCESS) return true;
  if (result == CUDA_ERROR_NOT_READY) return false;
  return context_->check(result, "cuEventQuery");
}

Result<Nanoseconds> CudaEvent::since(device::Event& earlier) noexcept {
  if (Status status = context_->usable(); !status.is_ok()) return status;
  const auto* const before = dynamic_cast<CudaEvent*>(&earlier);
  if (before == nullptr) return invalid_argument("the event is not one of a CUDA device");
  if (!tells_time() || !before->tells_time()) {
    return failed_precondition(
        "events tell the time between them once both, created with Timing::kTimed, are recorded");
  }
  float elapsed_ms = 0;
  const CUresult result =
      context_->call().event_elapsed_time(&elapsed_ms, before->handle_, handle_);
  if (result == CUDA_ERROR_NOT_READY) {
    return failed_precondition("events tell the time between them once both are done");
  }
  if (result != CUDA_SUCCESS) return context_->check(result, "cuEventElapsedTime");
  return static_cast<Nanoseconds>(std::llround(static_cast<double>(elapsed_ms) * 1e6));
}

Status CudaEvent::record_on(Context& context, CUstream stream) noexcept {
  Status status = context.check(context.call().event_record(handle_, stream), "cuEventRecord");
  if (status.is_ok()) is_recorded_.store(true);
  return status;
}

}  // namespace slipstream::cuda
