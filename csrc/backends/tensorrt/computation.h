// TensorRtComputation: one execution context, which puts a slot's batch on the pipeline's stream.
//
// A context may have several executions on one stream at once: its scratch memory is used by one
// after the other there, and addresses and shapes are those at the time of the call. So one is
// enough for all slots of an instance.
//
// Threads: one at a time, which has entered the device. Ownership: shares the engine.
// Failure: kInvalidArgument for sizes out of the profile; kInternal, with TensorRT's words, where
// it refuses a call. What fails on the device loses that, as device.h says.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "backends/tensorrt/engine.h"
#include "device/pipeline.h"

namespace slipstream::tensorrt {

class TensorRtComputation final : public device::Computation {
 public:
  // kResourceExhausted where the device has not memory for a context. Throws std::bad_alloc. With
  // the device entered. `face` outlives it.
  [[nodiscard]] static Result<std::unique_ptr<device::Computation>> create(
      std::shared_ptr<EngineSource> source, std::shared_ptr<device::Device> device,
      const Face& face, std::string file);
  ~TensorRtComputation() override;

  [[nodiscard]] Status enqueue(device::Stream& stream, device::Slot& slot) noexcept override;
  [[nodiscard]] Status rebuild() noexcept override;

 private:
  TensorRtComputation(std::shared_ptr<EngineSource> source, std::shared_ptr<device::Device> device,
                      const Face& face, std::string file);

  // All three throw std::bad_alloc.
  [[nodiscard]] Status make_context();
  [[nodiscard]] Status set_inputs(const device::Slot& slot);
  [[nodiscard]] Status set_outputs(device::Slot& slot);
  [[nodiscard]] Status put(device::Stream& stream, device::Slot& slot);

  const std::shared_ptr<EngineSource> source_;
  const std::shared_ptr<device::Device> device_;
  const Face& face_;
  const std::string file_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  bool has_profile_ = false;  // a new context has the first one
};

}  // namespace slipstream::tensorrt
