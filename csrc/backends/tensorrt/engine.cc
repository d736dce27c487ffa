#include "backends/tensorrt/engine.h"

#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {

Engine::Engine(std::shared_ptr<device::Device> device, std::unique_ptr<nvinfer1::IRuntime> runtime,
               std::unique_ptr<nvinfer1::ICudaEngine> engine)
    : device_(std::move(device)), runtime_(std::move(runtime)), engine_(std::move(engine)) {}

Engine::~Engine() {
  const device::Entered entered(*device_);
  engine_.reset();
  runtime_.reset();
}

EngineSource::EngineSource(const Library& library, std::shared_ptr<device::Device> device,
                           std::shared_ptr<const Plan> plan)
    : library_(library), device_(std::move(device)), plan_(std::move(plan)) {}

Result<std::shared_ptr<Engine>> EngineSource::engine() {
  const std::scoped_lock lock(mutex_);
  if (current_ != nullptr) return current_;
  Result<std::shared_ptr<Engine>> made = deserialize();
  if (made.is_ok()) current_ = made.value();
  return made;
}

void EngineSource::forget(const std::shared_ptr<Engine>& lost) noexcept {
  const std::scoped_lock lock(mutex_);
  if (current_ == lost) current_.reset();
}

void EngineSource::forget_unless_shared(const std::shared_ptr<Engine>& engine) noexcept {
  constexpr long kOursAndTheCallers = 2;  // others get theirs with the mutex
  const std::scoped_lock lock(mutex_);
  if (current_ == engine && current_.use_count() == kOursAndTheCallers) current_.reset();
}

Result<std::shared_ptr<Engine>> EngineSource::deserialize() const {
  Result<std::unique_ptr<nvinfer1::IRuntime>> runtime = library_.create_runtime();
  if (!runtime.is_ok()) return runtime.status();
  runtime.value()->setEngineHostCodeAllowed(plan_->may_run_host_code);
  const Told told;
  const auto bytes = plan_->file.bytes();
  std::unique_ptr<nvinfer1::ICudaEngine> engine(
      runtime.value()->deserializeCudaEngine(bytes.data(), bytes.size()));
  if (engine == nullptr) {
    return why_not_deserialized(plan_->name, plan_->header, library_.facts(device_->name()),
                                told.text());
  }
  return std::make_shared<Engine>(device_, std::move(runtime).value(), std::move(engine));
}

}  // namespace slipstream::tensorrt
