#include "bindings/compose.h"

#include <utility>

#include "core/compose/combine.h"
#include "core/compose/ensemble.h"
#include "core/compose/stack.h"
#include "core/compose/vote.h"

namespace slipstream::bindings {
namespace {

constexpr std::size_t kMostOutputs = 64;  // bits of outputs_wanted

Result<CompositeMember> member_of(const EnsembleMember& given, std::uint64_t outputs_wanted) {
  auto served = std::dynamic_pointer_cast<ServedModel>(given.model->served);
  if (served == nullptr) {
    return invalid_argument("'" + given.model->served->name() +
                            "' is itself an ensemble; name its members instead");
  }
  return CompositeMember{
      .model = std::move(served), .outputs_wanted = outputs_wanted, .is_owned = given.is_owned};
}

Result<Combine> combine_of(const EnsembleRule& rule, std::vector<ColumnReader> readers) {
  if (rule.name == "soft_vote") return soft_vote(std::move(readers), rule.weights);
  if (rule.name == "hard_vote") return hard_vote(std::move(readers), rule.weights);
  if (rule.name == "mean") return mean_of_columns(std::move(readers), rule.weights);
  if (rule.name == "tensor_mean") {
    for (const ColumnReader& reader : readers) {
      if (reader.output == readers.front().output) continue;
      return invalid_argument("members '" + readers.front().member + "' and '" + reader.member +
                              "' have their answers in different places");
    }
    return weighted_mean(readers.front().output, rule.weights);
  }
  return invalid_argument("there is no rule '" + rule.name + "'");
}

}  // namespace

Result<std::unique_ptr<Composite>> compose(std::string name, ModelSpec spec,
                                           const std::vector<EnsembleMember>& members,
                                           const EnsembleRule& rule) {
  if (members.empty()) return invalid_argument("ensemble '" + name + "' needs a member");
  std::vector<CompositeMember> composed;
  std::vector<ColumnReader> readers;
  bool is_batchable = true;
  for (const EnsembleMember& given : members) {
    const std::uint64_t wanted = given.reader.output < kMostOutputs
                                     ? std::uint64_t{1} << given.reader.output
                                     : ~std::uint64_t{0};
    Result<CompositeMember> member = member_of(given, wanted);
    if (!member.is_ok()) return member.status();
    composed.push_back(std::move(member).value());
    is_batchable = is_batchable && composed.back().model->spec().batchable;
    readers.push_back(given.reader);
  }
  spec.batchable = is_batchable;
  if (rule.name == "stack") {
    if (!rule.final_member) return invalid_argument("ensemble '" + name + "' has no final model");
    Result<CompositeMember> last = member_of(*rule.final_member, ~std::uint64_t{0});
    if (!last.is_ok()) return last.status();
    composed.push_back(std::move(last).value());
    return make_stack(std::move(name), std::move(spec), std::move(composed),
                      {.readers = std::move(readers), .is_passthrough = rule.is_passthrough});
  }
  Result<Combine> combine = combine_of(rule, std::move(readers));
  if (!combine.is_ok()) return combine.status();
  return make_ensemble(std::move(name), std::move(spec), std::move(composed),
                       std::move(combine).value());
}

}  // namespace slipstream::bindings
