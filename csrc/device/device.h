// A device that works beside the host: memory of its own, streams of work in order, and events that
// tell how far a stream is. The pipeline and the pools are written against this; csrc/cuda
// implements it with CUDA, simulated_device.h with threads.
//
// When to use: for whatever copies between host and device and computes there without blocking the
// thread that asks. When not: to compute on the host.
//
// Failure: what asks for something tells by its Status that it was refused (no memory, wrong
// arguments); nothing has happened then, and the device is as good as before. What fails later, on
// the device, loses it, as CUDA's sticky errors do: from then on every call answers kUnavailable,
// with the cause, until recover(). Nothing here throws.
// Threads: Device from any; a Stream and what is put on it from one at a time. Whoever calls
// anything but health() has entered the device (Entered, below) on that thread, since libraries
// keep the current device by thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/status.h"

namespace slipstream::device {

// A point in a stream. It may be recorded again and again; what is asked is the last time.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  virtual ~Event() = default;

  // Whether everything before its point has been done. False as well before it was ever recorded.
  [[nodiscard]] virtual Result<bool> is_done() noexcept = 0;
  // By the device's clock, from the point of `earlier` to this one. Both were created to tell the
  // time, and are done.
  [[nodiscard]] virtual Result<Nanoseconds> since(Event& earlier) noexcept = 0;
};

// Work that was recorded on a stream, to be put on one again as a whole, which costs the host less.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  virtual ~Graph() = default;
};

// Work that is done in the order in which it was put on. All calls return at once.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  virtual ~Stream() = default;

  // Copies from pinned host memory, which must stay as it is until the copy is done, and to it.
  [[nodiscard]] virtual Status copy_to_device(void* to, const void* from,
                                              std::size_t bytes) noexcept = 0;
  [[nodiscard]] virtual Status copy_to_host(void* to, const void* from,
                                            std::size_t bytes) noexcept = 0;
  // Marks the point after all that is on the stream now.
  [[nodiscard]] virtual Status record(Event& event) noexcept = 0;
  // What is put on from here on is not begun before the event's point, as it is recorded now.
  [[nodiscard]] virtual Status wait(Event& event) noexcept = 0;
  // Calls `function(context)`, on a thread of the device's, once all that is on the stream now is
  // done; what comes after waits for it. It may be slow in coming, calls nothing of the device, and
  // never comes where the device is lost first.
  [[nodiscard]] virtual Status call(void (*function)(void*) noexcept, void* context) noexcept = 0;
  // What this thread puts on the stream from here on is recorded, and not done, until
  // end_capture().
  [[nodiscard]] virtual Status begin_capture() noexcept = 0;
  // What was recorded since; a refusal where something cannot be. Either way nothing is recorded
  // any more.
  [[nodiscard]] virtual Result<std::unique_ptr<Graph>> end_capture() noexcept = 0;
  // Puts recorded work on it. The graph stays until that is done.
  [[nodiscard]] virtual Status launch(Graph& graph) noexcept = 0;
  // As libraries on the device take it (a cudaStream_t); null where there is no such thing.
  [[nodiscard]] virtual void* native() noexcept = 0;
};

// Memory that its owner gives back by destroying it. Its address is the device's, or the host's
// where it is pinned memory.
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  virtual ~Block() = default;

  [[nodiscard]] virtual void* address() const noexcept = 0;
  [[nodiscard]] virtual std::size_t bytes() const noexcept = 0;
};

struct DeviceMemory {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
};

// Looks until the event is done, and blocks for that. Not for the hot path.
[[nodiscard]] Status wait_for(Event& event) noexcept;

enum class Timing : bool { kNone, kTimed };

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  // For people: "NVIDIA H100 PCIe (cuda:0)".
  [[nodiscard]] virtual std::string name() const noexcept = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Stream>> create_stream() noexcept = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Event>> create_event(
      Timing timing = Timing::kNone) noexcept = 0;
  // Aligned to 256 bytes. kResourceExhausted without memory.
  [[nodiscard]] virtual Result<std::unique_ptr<Block>> allocate(std::size_t bytes) noexcept = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Block>> allocate_pinned(
      std::size_t bytes) noexcept = 0;
  // What anybody may still allocate on it, and all that it has.
  [[nodiscard]] virtual Result<DeviceMemory> memory() noexcept = 0;
  // Makes it the thread's current device, and puts back what was. In pairs, which may be nested.
  virtual void enter() noexcept = 0;
  virtual void leave() noexcept = 0;
  // Blocks until nothing is in progress any more, also on a lost device. Not for the hot path.
  virtual void drain() noexcept = 0;
  // kUnavailable once it is lost.
  [[nodiscard]] virtual Status health() noexcept = 0;
  // Makes a lost device usable again where that can be done. Streams, events and blocks from before
  // are to be destroyed and made anew by their owners.
  [[nodiscard]] virtual Status recover() noexcept = 0;
};

// The device is the thread's current one for as long as this lives.
class Entered {
 public:
  explicit Entered(Device& device) noexcept : device_(device) { device_.enter(); }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { device_.leave(); }

 private:
  Device& device_;
};

}  // namespace slipstream::device
