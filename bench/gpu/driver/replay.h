// One network at one shape, recorded once (at::cuda::CUDAGraph) and launched again and again: what
// our own cost is measured against. No queue, no batching, nothing allocated, one stream.
//
// Threads: one at a time. Failure: a Status; where the network cannot be recorded, is_recorded()
// says no, and it is computed as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/clock.h"
#include "network.h"

namespace slipstream::bench_gpu {

class Replay {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Replay>> create(std::shared_ptr<Network> network);
  explicit Replay(std::shared_ptr<Network> network) : network_(std::move(network)) {}
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  ~Replay();

  [[nodiscard]] bool is_recorded() const noexcept { return graph_ != nullptr; }
  [[nodiscard]] const std::shared_ptr<Network>& network() const noexcept { return network_; }
  // Page-locked: where a call finds its rows, and leaves the answer.
  [[nodiscard]] std::span<std::byte> input() const noexcept;
  [[nodiscard]] std::span<const std::byte> output() const noexcept;

  // Calls one after the other: copy in, compute, copy out, wait. Nanoseconds of each.
  [[nodiscard]] Status call(std::span<Nanoseconds> took);
  // Computations one after the other, without copies and without waiting, by the device's clock:
  // nanoseconds of them all.
  [[nodiscard]] Result<Nanoseconds> back_to_back(std::int64_t times);

 private:
  [[nodiscard]] Status build();
  [[nodiscard]] Status allocate();
  [[nodiscard]] Status compute();

  const std::shared_ptr<Network> network_;
  std::unique_ptr<libtorch::ComputeStream> stream_;
  std::unique_ptr<device::Event> done_;
  std::unique_ptr<device::Event> begin_;
  std::unique_ptr<device::Event> end_;
  std::unique_ptr<device::Block> host_in_;
  std::unique_ptr<device::Block> host_out_;
  std::unique_ptr<device::Block> device_in_;
  std::unique_ptr<device::Block> device_out_;
  std::unique_ptr<device::Graph> graph_;
};

}  // namespace slipstream::bench_gpu
