#include "backends/tensorrt/engine.h"

#include <new>

#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {
namespace {

// What is neither used nor destroyed any more.
struct LeftAlone {
  std::mutex mutex;
  std::vector<const void*> objects;  // guarded by mutex
};

void leave_alone(const void* object) noexcept {
  static auto* const left =
      new (std::nothrow) LeftAlone;  // for good: so that no tool calls it lost
  if (left == nullptr) return;
  try {
    const std::scoped_lock lock(left->mutex);
    left->objects.push_back(object);
  } catch (const std::bad_alloc&) {
    return;
  }
}

}  // namespace

Engine::Engine(std::shared_ptr<device::Device> device, std::unique_ptr<nvinfer1::IRuntime> runtime,
               std::unique_ptr<nvinfer1::ICudaEngine> engine)
    : device_(std::move(device)), runtime_(std::move(runtime)), engine_(std::move(engine)) {}

Engine::~Engine() {
  if (is_abandoned_.load()) {
    leave_alone(engine_.release());
    leave_alone(runtime_.release());
    return;
  }
  const device::Entered entered(*device_);
  engine_.reset();
  runtime_.reset();
}

void Engine::give_up(std::unique_ptr<nvinfer1::IExecutionContext> context) const noexcept {
  if (is_abandoned_.load()) {
    leave_alone(context.release());
    return;
  }
  const device::Entered entered(*device_);
  context.reset();
}

EngineSource::EngineSource(const Library& library, std::shared_ptr<device::Device> device,
                           Plan plan)
    : library_(library), device_(std::move(device)), plan_(std::move(plan)) {}

Result<std::shared_ptr<Engine>> EngineSource::other_than(const std::shared_ptr<Engine>& lost) {
  const std::scoped_lock lock(mutex_);
  if (lost != nullptr) lost->abandon();
  if (current_ != nullptr && current_ != lost) return current_;
  current_.reset();
  Result<std::shared_ptr<Engine>> made = deserialize();
  if (made.is_ok()) current_ = made.value();
  return made;
}

Result<std::shared_ptr<Engine>> EngineSource::deserialize() const {
  Result<std::unique_ptr<nvinfer1::IRuntime>> runtime = library_.create_runtime();
  if (!runtime.is_ok()) return runtime.status();
  runtime.value()->setEngineHostCodeAllowed(plan_.may_run_host_code);
  const Told told;
  const auto bytes = plan_.file.bytes();
  std::unique_ptr<nvinfer1::ICudaEngine> engine(
      runtime.value()->deserializeCudaEngine(bytes.data(), bytes.size()));
  if (engine == nullptr) {
    return why_not_deserialized(plan_.name, plan_.header, library_.facts(device_->name()),
                                told.text());
  }
  return std::make_shared<Engine>(device_, std::move(runtime).value(), std::move(engine));
}

}  // namespace slipstream::tensorrt
