// The stages of a pipeline, each timed alone, and the pipeline as a whole: whether they overlap.
//
// Copies are timed by the device's clock, between two events around many of them on one stream;
// gathering and the whole by the host's. Threads: one at a time, which has entered the device.
// Failure: a Status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/clock.h"
#include "core/status.h"
#include "device/device.h"
#include "device/pipeline.h"

namespace slipstream::bench_gpu {

enum class Direction : bool { kToDevice, kToHost };

// All of it is nanoseconds of one batch.
[[nodiscard]] Result<Nanoseconds> time_copies(device::Device& device, std::size_t bytes,
                                              Direction direction, std::int64_t times);
// Rows of `pieces` requests, in memory that is not page-locked, to page-locked memory.
[[nodiscard]] Result<Nanoseconds> time_gather(device::Device& device, std::size_t bytes,
                                              std::size_t pieces, std::int64_t times);
// Batches of `rows` rows of `pieces` requests through a pipeline of three slots, which is kept
// full. The first few are not timed.
[[nodiscard]] Result<Nanoseconds> time_pipeline(std::shared_ptr<device::Device> device,
                                                device::Computation& computation,
                                                const ModelSpec& spec, std::int64_t rows,
                                                std::size_t pieces, std::int64_t batches);

// Computes nothing: what is left are the copies.
class NoComputation final : public device::Computation {
 public:
  explicit NoComputation(device::Device& device) : device_(device) {}

  [[nodiscard]] device::Stream& stream() noexcept override { return *stream_; }
  [[nodiscard]] Status enqueue(device::Slot& slot) noexcept override;
  void tear_down() noexcept override { stream_.reset(); }
  [[nodiscard]] Status build() noexcept override;

 private:
  device::Device& device_;
  std::unique_ptr<device::Stream> stream_;
};

}  // namespace slipstream::bench_gpu
