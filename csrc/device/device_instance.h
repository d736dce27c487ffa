// DeviceInstance: a PipelinedInstance whose batches go through the pipeline of a device. What a
// backend adds is the Computation.
//
// A lost device fails what is in progress, and is brought back before the next execution begins;
// where that fails it is tried again with the first execution after a while, and all until then
// fail at once.
//
// Threads, failure: as core/backend.h says. Ownership: shares the device, owns the computation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/backend.h"
#include "core/clock.h"
#include "device/device.h"
#include "device/pipeline.h"

namespace slipstream::device {

class DeviceInstance final : public PipelinedInstance {
 public:
  // kResourceExhausted when the device has not memory for it. Throws std::bad_alloc.
  [[nodiscard]] static Result<std::unique_ptr<Instance>> create(
      std::shared_ptr<Device> device, std::unique_ptr<Computation> computation,
      const ModelSpec& spec, PipelineOptions options);
  ~DeviceInstance() override;

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;
  [[nodiscard]] std::uint64_t restarts() const noexcept override { return recoveries_.load(); }
  [[nodiscard]] Status health() const noexcept override;

  [[nodiscard]] std::size_t depth() const noexcept override { return pipeline_->slots(); }
  void expect_rows(std::int64_t rows) noexcept override;
  void begin(const Launch& launch) noexcept override;
  [[nodiscard]] bool poll(Status& status, std::vector<Tensor>& outputs) noexcept override;
  [[nodiscard]] Nanoseconds computed_ns() const noexcept override {
    return pipeline_->computed_ns();
  }

 private:
  DeviceInstance(std::shared_ptr<Device> device, std::unique_ptr<Computation> computation,
                 std::unique_ptr<Pipeline> pipeline, bool is_batchable);
  void bring_back() noexcept;

  const std::shared_ptr<Device> device_;
  const std::unique_ptr<Computation> computation_;
  std::unique_ptr<Pipeline> pipeline_;
  const bool is_batchable_;
  Nanoseconds try_again_ns_ = 0;  // no recovery is tried before
  std::atomic<std::uint64_t> recoveries_{0};
  mutable std::mutex mutex_;
  Status not_back_;  // with the mutex: why what was on the device could not be made anew
};

}  // namespace slipstream::device
