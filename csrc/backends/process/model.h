// ProcessModel: what one artifact's worker processes have in common, and the first of them.
//
// Loading starts a worker, because only the loaded model knows its inputs and outputs; the first
// instance takes that worker over, each further instance starts its own.
#pragma once

#include <memory>
#include <mutex>

#include "backends/process/options.h"
#include "backends/process/worker_link.h"
#include "core/backend.h"

namespace slipstream::process {

class ProcessModel final : public Model {
 public:
  // Blocks until the first worker has loaded the model. May throw std::bad_alloc.
  [[nodiscard]] static Result<std::unique_ptr<Model>> load(const ModelConfig& config);

  // `first` has declared the spec; it refers to `*launch`.
  ProcessModel(std::unique_ptr<const Launch> launch, std::unique_ptr<WorkerLink> first);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  // Blocks until the instance's worker has loaded the model.
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  [[nodiscard]] bool may_run_inline() const noexcept override { return false; }

 private:
  const std::unique_ptr<const Launch> launch_;
  const ModelSpec spec_;
  std::mutex mutex_;
  std::unique_ptr<WorkerLink> first_;  // guarded by mutex_; null once an instance has it
};

}  // namespace slipstream::process
