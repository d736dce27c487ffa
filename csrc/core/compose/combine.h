// The mean of tensors of any shape: for networks. Members that classify vote (vote.h).
//
// It looks at one output of every member (set CompositeMember::outputs_wanted to spare the rest)
// and answers with one output. `weights` are one a member, finite, not negative, not all zero; none
// at all means equal weights.
// Threads: any number at once. Failure: kInvalidArgument where the members' answers do not go
// together (shapes, dtypes, number of weights), with what to change.
#pragma once

#include <cstddef>
#include <vector>

#include "core/compose/ensemble.h"

namespace slipstream {

// The weighted mean, element by element, of float32 and float64 tensors of one shape. Computed in
// float64; the answer is float64 if any member's is, else float32. NaN wherever a member says NaN.
[[nodiscard]] Combine weighted_mean(std::size_t output, std::vector<double> weights = {});

}  // namespace slipstream
