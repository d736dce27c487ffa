#include "core/compose/pipeline.h"

#include <algorithm>
#include <utility>

#include "core/compose/composite_run.h"

namespace slipstream {
namespace {

class PipelinePlan : public Plan {
 public:
  explicit PipelinePlan(std::vector<Transform> transforms) : transforms_(std::move(transforms)) {}

  const char* kind() const noexcept override { return "pipeline"; }

  Status begin(CompositeRun& run, std::vector<Tensor>&& inputs) const override {
    return start(run, 0, std::move(inputs));
  }

  Status advance(CompositeRun& run, std::size_t member,
                 std::vector<Tensor>&& outputs) const override {
    if (member + 1 < transforms_.size()) return start(run, member + 1, std::move(outputs));
    run.succeed(std::move(outputs));
    return Status::ok();
  }

 private:
  Status start(CompositeRun& run, std::size_t step, std::vector<Tensor>&& tensors) const {
    const Transform& transform = transforms_[step];
    if (!transform) return run.submit(step, std::move(tensors));
    Result<std::vector<Tensor>> transformed = transform(std::move(tensors));
    if (!transformed.is_ok()) return transformed.status();
    return run.submit(step, std::move(transformed).value());
  }

  const std::vector<Transform> transforms_;  // one a step; null for those without
};

// Whether what `output` describes can be what `input` takes.
bool fits(const TensorSpec& output, const TensorSpec& input) {
  return output.dtype == input.dtype &&
         std::ranges::equal(output.dims, input.dims,
                            [](auto x, auto y) { return x == y || x < 0 || y < 0; });
}

Status check_steps(const std::string& name, const std::vector<PipelineStep>& steps) {
  if (steps.empty()) return invalid_argument("pipeline '" + name + "' needs at least one step");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& model = steps[i].member.model;
    if (model == nullptr) {
      return invalid_argument("pipeline '" + name + "', step " + std::to_string(i + 1) +
                              ": its model is not loaded");
    }
    if (i == 0 || steps[i].transform) continue;
    const auto& before = steps[i - 1].member.model;
    if (std::ranges::equal(before->spec().outputs, model->spec().inputs, fits)) continue;
    return invalid_argument("pipeline '" + name + "': '" + model->name() +
                            "' does not take what '" + before->name() +
                            "' answers; put a transform between them");
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<Composite>> make_pipeline(std::string name,
                                                 std::vector<PipelineStep> steps) {
  if (Status status = check_steps(name, steps); !status.is_ok()) return status;
  std::vector<CompositeMember> members;
  std::vector<Transform> transforms;
  for (PipelineStep& step : steps) {
    members.push_back(std::move(step.member));
    transforms.push_back(std::move(step.transform));
  }
  ModelSpec spec{.inputs = members.front().model->spec().inputs,
                 .outputs = members.back().model->spec().outputs,
                 .batchable = std::ranges::all_of(members, [](const CompositeMember& member) {
                   return member.model->spec().batchable;
                 })};
  return std::make_unique<Composite>(std::move(name), std::move(spec), std::move(members),
                                     std::make_unique<PipelinePlan>(std::move(transforms)));
}

}  // namespace slipstream
