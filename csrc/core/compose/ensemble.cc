#include "core/compose/ensemble.h"

#include <algorithm>
#include <utility>

#include "core/compose/composite_run.h"

namespace slipstream {
namespace {

class EnsemblePlan : public Plan {
 public:
  explicit EnsemblePlan(Combine combine) : combine_(std::move(combine)) {}

  const char* kind() const noexcept override { return "ensemble"; }

  Status begin(CompositeRun& run, std::vector<Tensor>&& inputs) const override {
    const std::size_t count = run.answers().size();
    for (std::size_t member = 0; member < count && !run.has_ended(); ++member) {
      // A copy of the views; the elements are shared, and only read.
      Status status = run.submit(member, std::vector<Tensor>(inputs));
      if (!status.is_ok()) return status;
    }
    return Status::ok();
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

// Whether some tensor can suit both.
bool is_compatible(const TensorSpec& a, const TensorSpec& b) {
  return a.dtype == b.dtype && std::ranges::equal(a.dims, b.dims, [](auto x, auto y) {
           return x == y || x < 0 || y < 0;
         });
}

Status check_members(const std::string& name, const std::vector<CompositeMember>& members) {
  if (members.empty()) return invalid_argument("ensemble '" + name + "' needs at least one member");
  for (const CompositeMember& member : members) {
    if (member.model == nullptr) {
      return invalid_argument("ensemble '" + name + "' has a member that is not loaded");
    }
    const auto& first = members.front().model->spec().inputs;
    const auto& inputs = member.model->spec().inputs;
    if (std::ranges::equal(first, inputs, is_compatible)) continue;
    return invalid_argument(
        "ensemble '" + name + "': members '" + members.front().model->options().name + "' and '" +
        member.model->options().name + "' take different inputs; all members must take the same");
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<Composite>> make_ensemble(std::string name,
                                                 std::vector<CompositeMember> members,
                                                 Combine combine) {
  if (Status status = check_members(name, members); !status.is_ok()) return status;
  if (!combine) return invalid_argument("ensemble '" + name + "' needs a function that combines");
  return std::make_unique<Composite>(std::move(name), std::move(members),
                                     std::make_unique<EnsemblePlan>(std::move(combine)));
}

}  // namespace slipstream
