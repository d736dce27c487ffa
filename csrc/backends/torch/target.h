// What a model on a GPU computes on: the device of csrc/device, and the same one as libtorch calls
// it; and streams on which libtorch computes.
//
// Three ways to be built: target_cuda.cc, target_none.cc where torch or CUDA's headers are without
// CUDA, and that of the tests, which puts the host in place of a device.
// Threads: as csrc/device says. Failure: a Status; use() may throw what libtorch throws.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <memory>

#include "core/status.h"
#include "device/device.h"

namespace slipstream::libtorch {

struct TorchTarget {
  std::shared_ptr<device::Device> device;
  c10::Device place{c10::kCPU};
};

//   kNotFound            no driver of NVIDIA's, or no GPU of that number
//   kFailedPrecondition  the driver cannot be used, or this backend cannot use a GPU
[[nodiscard]] Result<TorchTarget> open_target(int ordinal);

// Blocks until what this thread has put on libtorch's current stream there is done. Throws what
// libtorch throws.
inline void wait_for_work(c10::Device place) {
  if (place.is_cpu()) return;
  c10::impl::VirtualGuardImpl(place.type()).getStream(place).synchronize();
}

// libtorch gives back what it has freed and keeps for itself, of all devices, where nothing is
// recorded at the time. Waits for what is in progress.
void give_back_unused() noexcept;

// A stream of the target's device. What is recorded on it has memory in libtorch's allocator that
// nobody else gets, and that all graphs of the stream share (graph_memory.h): they are launched on
// that stream only.
class ComputeStream : public device::Stream {
 public:
  // Between the two, what this thread asks of libtorch on this device goes to this stream.
  virtual void use() = 0;
  virtual void leave() noexcept = 0;
};

[[nodiscard]] Result<std::unique_ptr<ComputeStream>> make_stream(const TorchTarget& target);

// For as long as this lives.
class StreamScope {
 public:
  explicit StreamScope(ComputeStream& stream) : stream_(stream) { stream_.use(); }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  ~StreamScope() { stream_.leave(); }

 private:
  ComputeStream& stream_;
};

}  // namespace slipstream::libtorch
