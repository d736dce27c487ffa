// PackageModel: an AOTInductor package (.pt2): the graph compiled to machine code by torch.export
// and torch._inductor. PackageInstance: one caller of it.
//
// A package holds a shared library, so opening one runs whatever is in it: only those are opened
// that were compiled here, or that the operator has allowed as he allows code.
// On the CPU it keeps `runners` copies of what a call needs, beside one set of weights; more
// callers wait. On a GPU there is one, and callers wait for each other while one of them puts its
// work on its stream: a package would take a copy for as long as the device is at it, wait on the
// host where all are taken, and record by an event what it has taken, which nothing can ask about
// any more once that was recorded into a graph (AOTInductorModelContainer::run()). Threads: of the
// model any, immutable after load; of an instance one at a time. Ownership: instances are destroyed
// before the model; tensors that they gave may outlive it.
#pragma once

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/torch/options.h"
#include "core/backend.h"

namespace slipstream::libtorch {

class PackageModel final : public Model {
 public:
  // Throws std::bad_alloc, and what libtorch throws.
  // At `place`, where inputs lie then, and outputs. kInvalidArgument as well where it was compiled
  // for something else.
  [[nodiscard]] static Result<std::unique_ptr<Model>> load(const ModelConfig& config,
                                                           TorchOptions options, c10::Device place);

  PackageModel(const std::string& path, TorchOptions options, c10::Device place);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;

  [[nodiscard]] const TorchOptions& options() const noexcept { return options_; }
  [[nodiscard]] c10::Device place() const noexcept { return place_; }
  // "cpu", "cuda"; empty where the package does not say.
  [[nodiscard]] std::string compiled_for() const;
  // By any threads; on a GPU on the current stream.
  [[nodiscard]] std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) const;

 private:
  TorchOptions options_;
  c10::Device place_;
  ModelSpec spec_;
  std::unique_ptr<torch::inductor::AOTIModelPackageLoader> loader_;
  // On a GPU:
  mutable std::mutex mutex_;
  mutable bool has_run_ = false;  // with the mutex
};

class PackageInstance final : public Instance {
 public:
  explicit PackageInstance(const PackageModel& model) : model_(model) {}

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;

 private:
  [[nodiscard]] Status run(const Execution& execution, std::vector<Tensor>& outputs) const;

  const PackageModel& model_;
};

}  // namespace slipstream::libtorch
