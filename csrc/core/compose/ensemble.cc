#include "core/compose/ensemble.h"

#include <utility>

#include "core/compose/composite_run.h"
#include "core/compose/fan_out.h"

namespace slipstream {
namespace {

class EnsemblePlan : public Plan {
 public:
  explicit EnsemblePlan(Combine combine) : combine_(std::move(combine)) {}

  const char* kind() const noexcept override { return "ensemble"; }

  Status begin(CompositeRun& run, std::vector<Tensor>&& inputs) const override {
    return fan_out(run, inputs, run.members().size());
  }

  Status advance(CompositeRun& run, std::size_t member,
                 std::vector<Tensor>&& outputs) const override {
    if (!run.keep(member, std::move(outputs))) return Status::ok();
    Result<std::vector<Tensor>> combined = combine_(run.answers());
    if (!combined.is_ok()) return combined.status();
    run.succeed(std::move(combined).value());
    return Status::ok();
  }

 private:
  const Combine combine_;
};

}  // namespace

Result<std::unique_ptr<Composite>> make_ensemble(std::string name, ModelSpec spec,
                                                 std::vector<CompositeMember> members,
                                                 Combine combine) {
  if (Status status = check_fan_out("ensemble", name, spec, members); !status.is_ok()) {
    return status;
  }
  if (!combine) return invalid_argument("ensemble '" + name + "' needs a function that combines");
  return std::make_unique<Composite>(std::move(name), std::move(spec), std::move(members),
                                     std::make_unique<EnsemblePlan>(std::move(combine)));
}

Result<std::unique_ptr<Composite>> make_ensemble(std::string name,
                                                 std::vector<CompositeMember> members,
                                                 Combine combine) {
  ModelSpec spec;
  if (!members.empty() && members.front().model != nullptr) spec = members.front().model->spec();
  return make_ensemble(std::move(name), std::move(spec), std::move(members), std::move(combine));
}

}  // namespace slipstream
