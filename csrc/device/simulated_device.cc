#include "device/simulated_device.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "device/simulated_state.h"

namespace slipstream::device {
namespace {

constexpr std::size_t kAlignment = 256;

using State = SimulatedDevice::State;

class SimulatedEvent final : public Event {
 public:
  explicit SimulatedEvent(std::shared_ptr<State> state)
      : state_(std::move(state)), generation_(state_->generation) {}

  Result<bool> is_done() noexcept override {
    const std::scoped_lock lock(state_->mutex);
    if (point_ == nullptr) return false;
    if (!point_->is_done) {
      if (Status status = state_->usable(generation_); !status.is_ok()) return status;
      return false;
    }
    state_->host_ns = std::max(state_->host_ns, point_->at_ns);
    return true;
  }

  Result<Nanoseconds> since(Event& earlier) noexcept override {
    const std::shared_ptr<Point>& before = dynamic_cast<SimulatedEvent&>(earlier).point_;
    const std::scoped_lock lock(state_->mutex);
    if (point_ == nullptr || before == nullptr || !point_->is_done || !before->is_done) {
      return failed_precondition("events tell the time between them once both are done");
    }
    return point_->at_ns - before->at_ns;
  }

  // With the mutex.
  std::shared_ptr<Point>& point() noexcept { return point_; }

 private:
  std::shared_ptr<State> state_;
  std::uint64_t generation_;
  std::shared_ptr<Point> point_;
};

class SimulatedGraph final : public Graph {
 public:
  explicit SimulatedGraph(std::vector<Operation> operations) : operations_(std::move(operations)) {}
  const std::vector<Operation>& operations() const noexcept { return operations_; }

 private:
  std::vector<Operation> operations_;
};

class SimulatedStream final : public Stream {
 public:
  SimulatedStream(std::shared_ptr<State> state, std::shared_ptr<Queue> queue)
      : state_(std::move(state)), queue_(std::move(queue)) {}

  ~SimulatedStream() override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return queue_->waiting.empty() && !queue_->is_running; });
    std::erase(state_->queues, queue_);
  }

  Status copy_to_device(void* to, const void* from, std::size_t bytes) noexcept override {
    return copy(SimulatedEngine::kCopyIn, to, from, bytes);
  }
  Status copy_to_host(void* to, const void* from, std::size_t bytes) noexcept override {
    return copy(SimulatedEngine::kCopyOut, to, from, bytes);
  }
  Status record(Event& event) noexcept override {
    auto& simulated = dynamic_cast<SimulatedEvent&>(event);
    auto point = std::make_shared<Point>();
    Status status = put({.engine = {}, .work = {}, .point = point});
    const std::scoped_lock lock(state_->mutex);
    if (status.is_ok()) simulated.point() = std::move(point);
    return status;
  }
  Status wait(Event& event) noexcept override {
    std::shared_ptr<Point> point;
    {
      const std::scoped_lock lock(state_->mutex);
      point = dynamic_cast<SimulatedEvent&>(event).point();
    }
    if (point == nullptr) return Status::ok();  // never recorded: there is nothing to wait for
    return put({.engine = {}, .work = {}, .point = std::move(point), .awaits = true});
  }
  Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    return put({.engine = {}, .work = [function, context] { function(context); }, .point = {}});
  }
  Status begin_capture() noexcept override {
    captured_.emplace();
    return Status::ok();
  }
  Result<std::unique_ptr<Graph>> end_capture() noexcept override {
    std::vector<Operation> operations = std::move(*captured_);
    captured_.reset();
    const std::scoped_lock lock(state_->mutex);
    Status status = state_->usable(queue_->generation);
    if (status.is_ok()) status = state_->refused(SimulatedCall::kCapture);
    if (!status.is_ok()) return status;
    // What takes no time refers to an event of the moment.
    if (!std::ranges::all_of(operations,
                             [](const auto& each) { return each.engine.has_value(); })) {
      return failed_precondition("events and calls cannot be recorded");
    }
    return std::unique_ptr<Graph>(std::make_unique<SimulatedGraph>(std::move(operations)));
  }
  Status launch(Graph& graph) noexcept override {
    std::optional<SimulatedCall> call = SimulatedCall::kGraph;
    for (const Operation& each : dynamic_cast<SimulatedGraph&>(graph).operations()) {
      if (Status status = put(each, std::exchange(call, std::nullopt)); !status.is_ok()) {
        return status;
      }
    }
    return Status::ok();
  }
  void* native() noexcept override { return nullptr; }

  Status launch(Nanoseconds takes_ns, std::function<void()> work) {
    return put({.engine = SimulatedEngine::kCompute,
                .takes_ns = takes_ns,
                .work = std::move(work),
                .point = {}},
               SimulatedCall::kLaunch);
  }

 private:
  Status copy(SimulatedEngine engine, void* to, const void* from, std::size_t bytes) {
    const double rate = state_->options.copy_bytes_per_ns;
    const double bytes_ns = rate > 0 ? static_cast<double>(bytes) / rate : 0;
    return put({.engine = engine,
                .takes_ns = state_->options.copy_ns + static_cast<Nanoseconds>(bytes_ns),
                .work = [to, from, bytes] { std::memcpy(to, from, bytes); },
                .point = {}},
               SimulatedCall::kCopy);
  }

  Status put(Operation operation, std::optional<SimulatedCall> call = {}) {
    if (captured_) {
      captured_->push_back(std::move(operation));
      return Status::ok();
    }
    const std::scoped_lock lock(state_->mutex);
    if (Status status = state_->usable(queue_->generation); !status.is_ok()) return status;
    if (call) {
      if (Status status = state_->refused(*call); !status.is_ok()) return status;
    }
    operation.asked_ns = state_->options.is_real_time ? now_ns() : state_->host_ns;
    queue_->waiting.push_back(std::move(operation));
    state_->settle();
    return Status::ok();
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<Queue> queue_;
  std::optional<std::vector<Operation>> captured_;  // while it records
};

class SimulatedBlock final : public Block {
 public:
  SimulatedBlock(std::shared_ptr<State> state, std::size_t kind, std::size_t bytes)
      : state_(std::move(state)),
        kind_(kind),
        bytes_(bytes),
        address_(::operator new(bytes, std::align_val_t{kAlignment})) {}
  ~SimulatedBlock() override {
    ::operator delete(address_, std::align_val_t{kAlignment});
    const std::scoped_lock lock(state_->mutex);
    state_->used_bytes[kind_] -= bytes_;
    --state_->blocks;
  }
  void* address() const noexcept override { return address_; }
  std::size_t bytes() const noexcept override { return bytes_; }

 private:
  std::shared_ptr<State> state_;
  std::size_t kind_;
  std::size_t bytes_;
  void* address_;
};

Result<std::unique_ptr<Block>> allocate_block(const std::shared_ptr<State>& state,
                                              SimulatedCall call, std::size_t bytes) {
  const std::size_t kind = call == SimulatedCall::kAllocate ? 0 : 1;
  {
    const std::scoped_lock lock(state->mutex);
    if (Status status = state->usable(state->generation); !status.is_ok()) return status;
    if (Status status = state->refused(call); !status.is_ok()) return status;
    const std::size_t most = kind == 0 ? state->options.memory_bytes : state->options.pinned_bytes;
    if (bytes > most - state->used_bytes[kind]) {
      return resource_exhausted("the simulated device has " +
                                std::to_string(most - state->used_bytes[kind]) +
                                " bytes left, not " + std::to_string(bytes));
    }
    state->used_bytes[kind] += bytes;
    ++state->allocations;
    ++state->blocks;
  }
  return std::unique_ptr<Block>(std::make_unique<SimulatedBlock>(state, kind, bytes));
}

}  // namespace

SimulatedDevice::SimulatedDevice(SimulatedOptions options)
    : state_(std::make_shared<State>(options)) {
  for (std::size_t i = 0; i < kSimulatedEngines; ++i) {
    state_->engines[i].thread =
        std::thread([state = state_.get(), i] { state->run(static_cast<SimulatedEngine>(i)); });
  }
}

SimulatedDevice::~SimulatedDevice() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->is_stopping = true;
    state_->changed.notify_all();
  }
  for (Engine& engine : state_->engines) engine.thread.join();
}

std::string SimulatedDevice::name() const noexcept {
  return "simulated";
}

Result<std::unique_ptr<Stream>> SimulatedDevice::create_stream() noexcept {
  const std::scoped_lock lock(state_->mutex);
  if (Status status = state_->usable(state_->generation); !status.is_ok()) return status;
  auto queue = std::make_shared<Queue>();
  queue->generation = state_->generation;
  state_->queues.push_back(queue);
  return std::unique_ptr<Stream>(std::make_unique<SimulatedStream>(state_, std::move(queue)));
}

Result<std::unique_ptr<Event>> SimulatedDevice::create_event(Timing /*all tell it*/) noexcept {
  const std::scoped_lock lock(state_->mutex);
  if (Status status = state_->usable(state_->generation); !status.is_ok()) return status;
  return std::unique_ptr<Event>(std::make_unique<SimulatedEvent>(state_));
}

Result<std::unique_ptr<Block>> SimulatedDevice::allocate(std::size_t bytes) noexcept {
  return allocate_block(state_, SimulatedCall::kAllocate, bytes);
}

Result<std::unique_ptr<Block>> SimulatedDevice::allocate_pinned(std::size_t bytes) noexcept {
  return allocate_block(state_, SimulatedCall::kAllocatePinned, bytes);
}

Result<DeviceMemory> SimulatedDevice::memory() noexcept {
  const std::scoped_lock lock(state_->mutex);
  if (Status status = state_->usable(state_->generation); !status.is_ok()) return status;
  const std::size_t total = state_->options.memory_bytes;
  return DeviceMemory{.free_bytes = total - state_->used_bytes[0], .total_bytes = total};
}

void SimulatedDevice::enter() noexcept {
  state_->entered.fetch_add(1);
}

void SimulatedDevice::leave() noexcept {
  state_->entered.fetch_sub(1);
}

void SimulatedDevice::drain() noexcept {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->is_idle(); });
}

Status SimulatedDevice::health() noexcept {
  const std::scoped_lock lock(state_->mutex);
  return state_->lost;
}

Status SimulatedDevice::recover() noexcept {
  std::unique_lock lock(state_->mutex);
  if (state_->lost.is_ok()) return Status::ok();
  if (state_->failing_recoveries > 0) {
    --state_->failing_recoveries;
    return unavailable("the simulated device does not come back yet");
  }
  state_->changed.wait(lock, [this] { return state_->is_idle(); });
  ++state_->generation;
  state_->lost = Status();
  return Status::ok();
}

Status SimulatedDevice::launch(Stream& stream, Nanoseconds takes_ns,
                               std::function<void()> work) noexcept {
  return dynamic_cast<SimulatedStream&>(stream).launch(takes_ns, std::move(work));
}

void SimulatedDevice::refuse(SimulatedCall call, Status why, std::uint64_t after) {
  const std::scoped_lock lock(state_->mutex);
  state_->refusals[static_cast<std::size_t>(call)] = {.after = after, .why = std::move(why)};
}

void SimulatedDevice::lose(const std::string& cause) {
  const std::scoped_lock lock(state_->mutex);
  state_->lose(cause);
}

void SimulatedDevice::lose_after(std::uint64_t after, std::string cause) {
  const std::scoped_lock lock(state_->mutex);
  state_->lost_after = after;
  state_->lost_cause = std::move(cause);
}

void SimulatedDevice::fail_recovery(int times) {
  const std::scoped_lock lock(state_->mutex);
  state_->failing_recoveries = times;
}

Nanoseconds SimulatedDevice::host_ns() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->host_ns;
}

Nanoseconds SimulatedDevice::busy_ns(SimulatedEngine engine) const {
  const std::scoped_lock lock(state_->mutex);
  return state_->engines[static_cast<std::size_t>(engine)].busy_ns;
}

std::int64_t SimulatedDevice::entered() const {
  return state_->entered.load();
}

std::uint64_t SimulatedDevice::allocations() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->allocations;
}

std::uint64_t SimulatedDevice::blocks() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->blocks;
}

}  // namespace slipstream::device
