// What Python says of an ensemble: its members, and the rule that makes one answer of theirs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/model.h"
#include "core/compose/columns.h"
#include "core/compose/composite.h"

namespace slipstream::bindings {

struct EnsembleMember {
  std::shared_ptr<ModelObject> model;
  ColumnReader reader;
  bool is_owned = false;
};

struct EnsembleRule {
  // "soft_vote", "hard_vote", "mean", "tensor_mean" (of any shape, the readers' output alone
  // matters), "stack".
  std::string name;
  std::vector<double> weights;
  std::optional<EnsembleMember> final_member;  // of "stack"
  bool is_passthrough = false;                 // of "stack"
};

// Failure: kInvalidArgument where members do not go together, one is itself an ensemble, or there
// is no such rule.
[[nodiscard]] Result<std::unique_ptr<Composite>> compose(std::string name, ModelSpec spec,
                                                         const std::vector<EnsembleMember>& members,
                                                         const EnsembleRule& rule);

}  // namespace slipstream::bindings
