// device::Stream on a CUstream that does not wait for the default stream, on which other libraries
// may work. As device.h describes streams; every call of the driver here is an asynchronous one.
#pragma once

#include <cstddef>
#include <memory>

#include "core/status.h"
#include "cuda/context.h"
#include "device/device.h"

namespace slipstream::cuda {

class CudaStream final : public device::Stream {
 public:
  [[nodiscard]] static Result<std::unique_ptr<device::Stream>> create(
      const std::shared_ptr<Context>& context);
  // With create(), which is the one to call.
  CudaStream(const std::shared_ptr<Context>& context, CUstream handle) noexcept
      : context_(context), handle_(handle) {}
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  ~CudaStream() override;

  [[nodiscard]] Status copy_to_device(void* to, const void* from,
                                      std::size_t bytes) noexcept override;
  [[nodiscard]] Status copy_to_host(void* to, const void* from,
                                    std::size_t bytes) noexcept override;
  [[nodiscard]] Status record(device::Event& event) noexcept override;
  [[nodiscard]] Status wait(device::Event& event) noexcept override;
  [[nodiscard]] Status call(void (*function)(void*) noexcept, void* context) noexcept override;
  // Only what this thread does is held to the rules of capturing: other models and libraries go on
  // allocating on theirs.
  [[nodiscard]] Status begin_capture() noexcept override;
  [[nodiscard]] Result<std::unique_ptr<device::Graph>> end_capture() noexcept override;
  [[nodiscard]] Status launch(device::Graph& graph) noexcept override;
  [[nodiscard]] void* native() noexcept override { return handle_; }

 private:
  Share context_;
  CUstream handle_;
};

}  // namespace slipstream::cuda
