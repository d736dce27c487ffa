// ScriptModel: a TorchScript archive. ScriptInstance: one caller of its forward().
//
// Instances share the module: forward() of a module that changes nothing may be called from several
// threads at once. One that changes its attributes is copied for each instance, but for its weights
// (state.h). The archive is run as it is: what makes it faster is done, and compared, before.
// Threads: of the model any, immutable after load; of an instance one at a time. Ownership:
// instances are destroyed before the model; tensors that they gave may outlive it.
#pragma once

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <optional>
#include <vector>

#include "backends/torch/layout.h"
#include "backends/torch/options.h"
#include "backends/torch/state.h"
#include "core/backend.h"

namespace slipstream::libtorch {

class ScriptModel final : public Model {
 public:
  // Throws std::bad_alloc, and what libtorch throws.
  //   kInvalidArgument: no archive; options that do not fit what forward() takes
  // At `place`, where inputs lie then, and outputs. kInvalidArgument as well where that is not the
  // host, and forward() takes or gives what is read there.
  [[nodiscard]] static Result<std::unique_ptr<Model>> load(const ModelConfig& config,
                                                           TorchOptions options, c10::Device place);

  ScriptModel(torch::jit::Module module, TorchOptions options, c10::Device place);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  // What was learned about a loop does not say how long it goes on for other values.
  [[nodiscard]] bool may_run_inline() const noexcept override { return !has_loops_; }

  // The arguments of forward(), without the module itself. `tensors` are the model's own inputs.
  [[nodiscard]] std::vector<c10::IValue> arguments(std::span<const Tensor> tensors) const;
  [[nodiscard]] const Layout& result() const noexcept { return *result_; }
  [[nodiscard]] const TorchOptions& options() const noexcept { return options_; }
  [[nodiscard]] c10::Device place() const noexcept { return place_; }

 private:
  // One argument of forward(): made of inputs, or with the value that it has by default.
  struct Argument {
    std::optional<Layout> layout;
    c10::IValue fallback;
  };

  [[nodiscard]] Status read_signature();
  [[nodiscard]] Status check_place() const;
  [[nodiscard]] Status read_arguments(const std::vector<c10::Argument>& arguments);

  torch::jit::Module module_;
  TorchOptions options_;
  c10::Device place_;
  ModelSpec spec_;
  std::vector<Argument> arguments_;
  std::optional<Layout> result_;
  bool has_loops_ = false;
};

class ScriptInstance final : public Instance {
 public:
  // `state` is there where forward() changes attributes; else `module` is called.
  ScriptInstance(const ScriptModel& model, const torch::jit::Module& module,
                 std::optional<State> state);

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;

 private:
  [[nodiscard]] Status run(const Execution& execution, std::vector<Tensor>& outputs);

  const ScriptModel& model_;
  std::optional<State> state_;
  torch::jit::Method forward_;
};

}  // namespace slipstream::libtorch
