#include "backends/torch/script_model.h"

#include <ATen/core/function_schema.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "backends/torch/checks.h"
#include "backends/torch/failures.h"
#include "backends/torch/threads.h"

namespace slipstream::libtorch {
namespace {

bool is_named(const TensorSpec& spec, const std::string& argument) {
  return spec.name == argument || spec.name.starts_with(argument + ".");
}

// Fixes how a method is executed, which libtorch decides when it is asked for the first time.
//
// Its default specialises the code anew after the first calls, and whenever a size was not seen
// before: requests that wait for 2 to 15 ms (docs/decisions/007), for code that on a CPU is no
// faster. The switches are the process's, and somebody else may use torch in it: they are put back.
void choose_executor(const torch::jit::Method& method) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  const bool specialises = torch::jit::getExecutorMode().exchange(false);
  const bool profiles = torch::jit::getProfilingMode().exchange(false);
  torch::jit::toGraphFunction(method.function()).get_executor();
  torch::jit::getExecutorMode() = specialises;
  torch::jit::getProfilingMode() = profiles;
}

bool loops(const torch::jit::Block& block) {
  return std::ranges::any_of(block.nodes(), [](const torch::jit::Node* node) {
    return node->kind() == c10::prim::Loop ||
           std::ranges::any_of(node->blocks(),
                               [](const torch::jit::Block* inner) { return loops(*inner); });
  });
}

// Whether the method, or one that it calls, loops; one over a list of modules was unrolled before.
bool loops(const torch::jit::Method& method) {
  const auto graph = torch::jit::toGraphFunction(method.function()).graph()->copy();
  torch::jit::Inline(*graph);
  return loops(*graph->block());
}

}  // namespace

Result<std::unique_ptr<Model>> ScriptModel::load(const ModelConfig& config, TorchOptions options,
                                                 c10::Device place) {
  const c10::InferenceMode inference;
  torch::jit::Module module = torch::jit::load(config.path, place);
  module.eval();
  auto model = std::make_unique<ScriptModel>(std::move(module), std::move(options), place);
  if (Status status = model->read_signature(); !status.is_ok()) return status;
  return std::unique_ptr<Model>(std::move(model));
}

ScriptModel::ScriptModel(torch::jit::Module module, TorchOptions options, c10::Device place)
    : module_(std::move(module)), options_(std::move(options)), place_(place) {
  spec_.inputs = options_.inputs;
  spec_.outputs = options_.outputs;
  spec_.batchable = options_.batchable;
  if (options_.states.empty()) return;
  spec_.inputs.push_back(state_spec());
  spec_.outputs.push_back(state_spec());
}

Status ScriptModel::read_signature() {
  const auto forward = module_.find_method("forward");
  if (!forward) return invalid_argument("torch backend: the module has no method forward()");
  choose_executor(*forward);
  has_loops_ = loops(*forward);
  const c10::FunctionSchema& schema = forward->function().getSchema();
  if (Status status = read_arguments(schema.arguments()); !status.is_ok()) return status;
  Result<Layout> result = Layout::of(schema.returns().at(0).type(), "", options_.outputs);
  if (!result.is_ok()) {
    return invalid_argument("torch backend: what forward() returns: " + result.status().message());
  }
  result_ = std::move(result).value();
  return place_.is_cpu() ? Status::ok() : check_place();
}

Status ScriptModel::check_place() const {
  const bool takes_host_values = std::ranges::any_of(arguments_, [](const Argument& argument) {
    return argument.layout && argument.layout->has_host_values();
  });
  if (!takes_host_values && !result_->has_host_values()) return Status::ok();
  return invalid_argument(
      "torch backend: forward() takes or gives numbers or texts that are no tensors, and those are "
      "read on the host; load it on the cpu");
}

Status ScriptModel::read_arguments(const std::vector<c10::Argument>& arguments) {
  std::size_t used = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) {  // the first is the module
    const c10::Argument& argument = arguments[i];
    const auto count = std::ranges::count_if(options_.inputs, [&argument](const TensorSpec& spec) {
      return is_named(spec, argument.name());
    });
    Argument made{.layout = std::nullopt,
                  .fallback = argument.default_value().value_or(c10::IValue())};
    if (count != 0) {
      Result<Layout> layout = Layout::of(argument.type(), argument.name(), options_.inputs);
      if (!layout.is_ok()) {
        return invalid_argument("torch backend: what forward() takes: " +
                                layout.status().message());
      }
      made.layout = std::move(layout).value();
    } else if (!argument.default_value() &&
               argument.type()->kind() != c10::TypeKind::OptionalType) {
      return invalid_argument("torch backend: forward() takes '" + argument.name() +
                              "', of which nothing is said");
    }
    used += static_cast<std::size_t>(count);
    arguments_.push_back(std::move(made));
  }
  if (used != options_.inputs.size()) {
    return invalid_argument("torch backend: an input is named that forward() does not take");
  }
  return Status::ok();
}

std::vector<c10::IValue> ScriptModel::arguments(std::span<const Tensor> tensors) const {
  std::vector<c10::IValue> values;
  values.reserve(arguments_.size() + 1);  // one more: the call puts the module before them
  for (const Argument& argument : arguments_) {
    values.push_back(argument.layout ? argument.layout->build(tensors, place_, options_.copy_inputs)
                                     : argument.fallback);
  }
  return values;
}

Result<std::unique_ptr<Instance>> ScriptModel::create_instance() noexcept {
  return guarded("torch backend: no instance can be made",
                 [this]() -> Result<std::unique_ptr<Instance>> {
                   const c10::InferenceMode inference;
                   if (options_.states.empty()) {
                     return std::unique_ptr<Instance>(
                         std::make_unique<ScriptInstance>(*this, module_, std::nullopt));
                   }
                   Result<State> state = State::of(module_, options_.states);
                   if (!state.is_ok()) return state.status();
                   torch::jit::Module module = state.value().module();
                   return std::unique_ptr<Instance>(
                       std::make_unique<ScriptInstance>(*this, module, std::move(state).value()));
                 });
}

ScriptInstance::ScriptInstance(const ScriptModel& model, const torch::jit::Module& module,
                               std::optional<State> state)
    : model_(model), state_(std::move(state)), forward_(module.get_method("forward")) {}

Status ScriptInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  return guarded("the model failed", [&] { return run(execution, outputs); });
}

Status ScriptInstance::run(const Execution& execution, std::vector<Tensor>& outputs) {
  const ModelSpec& spec = model_.spec();
  if (Status status = check_inputs(execution.inputs, spec.inputs); !status.is_ok()) return status;
  const ThreadsScope threads(model_.options().intra_op_threads);
  const c10::InferenceMode inference;
  std::span<const Tensor> tensors = execution.inputs;
  if (state_) {
    if (Status status = state_->restore(tensors.back()); !status.is_ok()) return status;
    tensors = tensors.first(tensors.size() - 1);
  }
  c10::IValue result = forward_(model_.arguments(tensors));
  outputs.assign(spec.outputs.size(), Tensor{});
  Status status = model_.result().take_apart(std::move(result), model_.place(), execution,
                                             model_.options().outputs, outputs);
  if (!status.is_ok()) return status;
  if (state_) outputs.back() = state_->saved(execution.memory);
  return check_rows(spec, execution, outputs);
}

}  // namespace slipstream::libtorch
