// A device made of threads: two that copy and one that computes, each doing one thing at a time, as
// on a GPU with two copy engines. For tests of what runs on devices, on machines without one.
//
// Work is really done, by other threads, so that a sanitizer sees what would be a race. Its time is
// simulated: every operation begins when its stream, its engine and the host have come so far, and
// takes what it is said to take. So what overlaps can be told exactly, on any machine, however
// busy. The host's own time is that of the last event which it saw done. Where `is_real_time` is
// set, operations take that long by the clock as well, for whoever measures or waits.
//
// Threads, failure: as device.h says. Faults are ordered beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/clock.h"
#include "device/device.h"

namespace slipstream::device {

struct SimulatedOptions {
  Nanoseconds copy_ns = 10'000;         // of a copy, beside its bytes
  double copy_bytes_per_ns = 0;         // 0: bytes take no time
  std::size_t memory_bytes = 1U << 30;  // what allocate() may give out
  std::size_t pinned_bytes = 1U << 30;
  bool is_real_time = false;
};

enum class SimulatedEngine : std::uint8_t { kCopyIn, kCompute, kCopyOut };
inline constexpr std::size_t kSimulatedEngines = 3;

// What can be refused.
enum class SimulatedCall : std::uint8_t {
  kAllocate,
  kAllocatePinned,
  kCopy,
  kLaunch,
  kCapture,  // the end of one
  kGraph,    // the launch of one
};
inline constexpr std::size_t kSimulatedCalls = 6;

class SimulatedDevice final : public Device {
 public:
  explicit SimulatedDevice(SimulatedOptions options = {});
  ~SimulatedDevice() override;  // streams, events and blocks are to go first

  [[nodiscard]] std::string name() const noexcept override;
  [[nodiscard]] Result<std::unique_ptr<Stream>> create_stream() noexcept override;
  [[nodiscard]] Result<std::unique_ptr<Event>> create_event(Timing timing) noexcept override;
  [[nodiscard]] Result<std::unique_ptr<Block>> allocate(std::size_t bytes) noexcept override;
  [[nodiscard]] Result<std::unique_ptr<Block>> allocate_pinned(std::size_t bytes) noexcept override;
  [[nodiscard]] Result<DeviceMemory> memory() noexcept override;
  void enter() noexcept override;
  void leave() noexcept override;
  void drain() noexcept override;
  [[nodiscard]] Status health() noexcept override;
  [[nodiscard]] Status recover() noexcept override;

  // Puts a computation on a stream of this device, or records it: `work` is what it does,
  // `takes_ns` how long.
  [[nodiscard]] static Status launch(Stream& stream, Nanoseconds takes_ns,
                                     std::function<void()> work) noexcept;

  // The call of that kind after `after` more of them is refused with `why`.
  void refuse(SimulatedCall call, Status why, std::uint64_t after = 0);
  // The device is lost: at once, or by the operation after `after` more have begun.
  void lose(const std::string& cause);
  void lose_after(std::uint64_t after, std::string cause);
  // recover() fails that often before it succeeds.
  void fail_recovery(int times);

  // Simulated time since the beginning: what the host has seen, and what an engine was at work.
  [[nodiscard]] Nanoseconds host_ns() const;
  [[nodiscard]] Nanoseconds busy_ns(SimulatedEngine engine) const;
  // How many threads have entered it and not left.
  [[nodiscard]] std::int64_t entered() const;
  // Blocks given out since the beginning, and given out now.
  [[nodiscard]] std::uint64_t allocations() const;
  [[nodiscard]] std::uint64_t blocks() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace slipstream::device
