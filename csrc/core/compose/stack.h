// Stack: every member gets the same inputs, all at once; a final model gets their answers as
// columns, and its answer is the parent's. As scikit-learn's StackingClassifier and
// StackingRegressor.
//
// Threads: the answers are put together on the thread that ended the last member's request.
// Failure: a Status; an error of a member or of the final model names it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/compose/columns.h"
#include "core/compose/composite.h"

namespace slipstream {

struct StackOptions {
  std::vector<ColumnReader> readers;  // one a member, without the final one
  // Whether the parent's own columns follow those of the members: its one input, [rows, columns].
  bool is_passthrough = false;
};

// `members` ends with the final model, which takes one input, [rows, columns] of float64 or
// float32. Failure: kInvalidArgument where it takes another number of columns than there will be,
// or the inputs of `spec` do not suit every other member.
[[nodiscard]] Result<std::unique_ptr<Composite>> make_stack(std::string name, ModelSpec spec,
                                                            std::vector<CompositeMember> members,
                                                            StackOptions options);

}  // namespace slipstream
