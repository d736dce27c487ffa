// What the simulated device does: its streams, its engines and their threads, and simulated time.
// simulated_device.cc is the face of it.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "device/simulated_device.h"

namespace slipstream::device {

inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

// Where an event was recorded last.
struct Point {
  bool is_done = false;
  Nanoseconds at_ns = 0;
};

// One without an engine takes no time: it sets or awaits `point`, or where there is none is a call.
struct Operation {
  std::optional<SimulatedEngine> engine;
  Nanoseconds takes_ns = 0;
  Nanoseconds asked_ns = 0;  // the host's time
  std::function<void()> work;
  std::shared_ptr<Point> point;
  bool awaits = false;
};

struct Queue {
  std::uint64_t generation = 0;
  std::deque<Operation> waiting;
  bool is_running = false;  // its first operation
  Nanoseconds ready_ns = 0;
};

struct Engine {
  std::thread thread;
  Nanoseconds free_ns = 0;
  Nanoseconds busy_ns = 0;
};

struct Refusal {
  std::uint64_t after = kNever;
  Status why;
};

struct SimulatedDevice::State {
  explicit State(SimulatedOptions given) : options(given) {}

  SimulatedOptions options;
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool is_stopping = false;
  std::vector<std::shared_ptr<Queue>> queues;
  std::array<Engine, kSimulatedEngines> engines;
  std::array<Refusal, kSimulatedCalls> refusals;
  std::uint64_t generation = 0;  // raised by every recovery
  Status lost;
  std::uint64_t lost_after = kNever;
  std::string lost_cause;
  int failing_recoveries = 0;
  Nanoseconds host_ns = 0;
  std::array<std::size_t, 2> used_bytes{};  // device, pinned
  std::uint64_t allocations = 0;
  std::uint64_t blocks = 0;
  std::atomic<std::int64_t> entered{0};  // without the mutex

  // All of the following with the mutex.

  // Ok for what was made in this generation of a device that is not lost.
  [[nodiscard]] Status usable(std::uint64_t made) const;
  [[nodiscard]] Status refused(SimulatedCall call);
  void lose(const std::string& cause);
  // Takes off what takes no time, wherever it is first, until nothing changes.
  void settle();
  // A stream whose first operation is for that engine.
  [[nodiscard]] std::shared_ptr<Queue> next_for(SimulatedEngine engine) const;
  [[nodiscard]] bool is_idle() const;

  // Of the engine's thread, until is_stopping; without the mutex.
  void run(SimulatedEngine kind);
};

}  // namespace slipstream::device
