// TensorRtComputation: a plan of which a slot's batch is put on the stream (context_stream.h).
//
// Threads: one at a time, which has entered the device. Ownership: shares the engine.
// Failure: kInvalidArgument for sizes out of the profile; kInternal, with TensorRT's words, where
// it refuses a call. What fails on the device loses that, as device.h says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "backends/tensorrt/context_stream.h"
#include "backends/tensorrt/engine.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::tensorrt {

class TensorRtComputation final : public device::Computation {
 public:
  // To be built before it is used. `face` outlives it.
  TensorRtComputation(std::shared_ptr<EngineSource> source, device::Place place, const Face& face,
                      std::string file);
  ~TensorRtComputation() override;

  [[nodiscard]] device::Stream& stream() noexcept override { return *stream_; }
  [[nodiscard]] Status enqueue(device::Slot& slot) noexcept override;
  // A profile may take no fewer than so many.
  [[nodiscard]] std::int64_t padded_rows(std::int64_t rows) const noexcept override {
    return face_.spec.batchable ? std::max(rows, face_.min_rows) : rows;
  }
  void tear_down() noexcept override;
  // kResourceExhausted where the device has not memory for a context.
  [[nodiscard]] Status build() noexcept override;

 private:
  void drop() noexcept;
  // All of the following throw std::bad_alloc.
  [[nodiscard]] Status make();
  [[nodiscard]] Status set_inputs(const device::Slot& slot);
  [[nodiscard]] Status set_outputs(device::Slot& slot);
  [[nodiscard]] Status put(device::Slot& slot);

  const std::shared_ptr<EngineSource> source_;
  const device::Place place_;
  const Face& face_;
  const std::string file_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<ContextStream> stream_;
};

}  // namespace slipstream::tensorrt
