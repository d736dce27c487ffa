// The usual ways to make one answer of an ensemble's: the mean of numbers, the vote of labels.
//
// Each looks at one output of every member (set CompositeMember::outputs_wanted to spare the rest)
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

// The label with the largest sum of weights, element by element, of integer (or bool) tensors of
// one shape; a tie goes to the smallest label, as in scikit-learn's VotingClassifier. The answer is
// int64.
[[nodiscard]] Combine weighted_vote(std::size_t output, std::vector<double> weights = {});

}  // namespace slipstream
