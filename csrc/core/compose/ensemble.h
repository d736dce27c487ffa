// Ensemble: every member gets the same inputs, all at once; one function makes one answer of
// theirs.
//
// make_ensemble("fraud", {{forest}, {network}}, weighted_mean(0, {2, 1}))
//
// `combine` runs on the thread that ended the last member's request: keep it short and pure (it may
// run on several threads at once, for different requests). What it throws fails the parent.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/compose/composite.h"

namespace slipstream {

// The members' outputs, in the order of the members -> the parent's outputs.
using Combine = std::function<Result<std::vector<Tensor>>(std::span<std::vector<Tensor>> answers)>;

// `spec` is what the ensemble takes and answers; a member that takes float32 where it says float64
// gets the numbers rounded. Failure: kInvalidArgument when there is no member, one is null, or one
// cannot be given what `spec` describes.
[[nodiscard]] Result<std::unique_ptr<Composite>> make_ensemble(std::string name, ModelSpec spec,
                                                               std::vector<CompositeMember> members,
                                                               Combine combine);

// The same with the first member's spec.
[[nodiscard]] Result<std::unique_ptr<Composite>> make_ensemble(std::string name,
                                                               std::vector<CompositeMember> members,
                                                               Combine combine);

}  // namespace slipstream
