#include "backends/process/model.h"

#include <exception>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "backends/process/instance.h"

namespace slipstream::process {

Result<std::unique_ptr<Model>> ProcessModel::load(const ModelConfig& config) {
  std::error_code error;
  if (!config.path.empty() && !std::filesystem::exists(config.path, error)) {
    return not_found("there is no model file '" + config.path + "'");
  }
  Result<Launch> parsed = make_launch(config);
  if (!parsed.is_ok()) return parsed.status();
  auto launch = std::make_unique<const Launch>(std::move(parsed).value());
  Result<std::unique_ptr<WorkerLink>> first = WorkerLink::start(*launch);
  if (!first.is_ok()) return first.status();
  return std::unique_ptr<Model>(
      std::make_unique<ProcessModel>(std::move(launch), std::move(first).value()));
}

ProcessModel::ProcessModel(std::unique_ptr<const Launch> launch, std::unique_ptr<WorkerLink> first)
    : launch_(std::move(launch)), spec_(first->spec()), first_(std::move(first)) {}

Result<std::unique_ptr<Instance>> ProcessModel::create_instance() noexcept {
  try {
    std::unique_ptr<WorkerLink> link;
    {
      const std::scoped_lock lock(mutex_);
      link = std::move(first_);
    }
    if (!link) {
      Result<std::unique_ptr<WorkerLink>> started = WorkerLink::start(*launch_);
      if (!started.is_ok()) return started.status();
      link = std::move(started).value();
    }
    return std::unique_ptr<Instance>(
        std::make_unique<ProcessInstance>(*launch_, spec_, std::move(link)));
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory while starting a worker process");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

}  // namespace slipstream::process
