// device::Event on a CUevent. As device.h describes events; no call of the driver here waits.
#pragma once

#include <atomic>
#include <memory>

#include "core/clock.h"
#include "core/status.h"
#include "cuda/context.h"
#include "device/device.h"

namespace slipstream::cuda {

class CudaEvent final : public device::Event {
 public:
  [[nodiscard]] static Result<std::unique_ptr<device::Event>> create(
      const std::shared_ptr<Context>& context, device::Timing timing);
  // With create(), which is the one to call.
  CudaEvent(const std::shared_ptr<Context>& context, CUevent handle, device::Timing timing) noexcept
      : context_(context), handle_(handle), timing_(timing) {}
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() override;

  [[nodiscard]] Result<bool> is_done() noexcept override;
  [[nodiscard]] Result<Nanoseconds> since(device::Event& earlier) noexcept override;

  // For a stream of `context`.
  [[nodiscard]] Status record_on(Context& context, CUstream stream) noexcept;
  [[nodiscard]] CUevent handle() const noexcept { return handle_; }

 private:
  [[nodiscard]] bool tells_time() const noexcept {
    return timing_ == device::Timing::kTimed && is_recorded_.load();
  }

  Share context_;
  CUevent handle_;
  const device::Timing timing_;
  std::atomic<bool> is_recorded_{false};  // ever: to CUDA, one that never was is done
};

}  // namespace slipstream::cuda
