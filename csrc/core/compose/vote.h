// Votes: one answer of members that classify, and the mean of members that answer with numbers, as
// scikit-learn's VotingClassifier and VotingRegressor define them.
//
// `readers` says what each member contributes; `weights` are one a member, finite, not negative,
// not all zero; none at all means equal weights.
// Threads: the results may be called by any number at once. Failure: kInvalidArgument where weights
// or widths do not fit the readers, when it is made; and for answers that read_columns refuses.
#pragma once

#include <vector>

#include "core/compose/columns.h"
#include "core/compose/ensemble.h"

namespace slipstream {

// The weighted mean of the members' probabilities: outputs the place of the largest, i64[rows] (the
// first of equals), and the mean, f64[rows, classes].
[[nodiscard]] Result<Combine> soft_vote(std::vector<ColumnReader> readers,
                                        std::vector<double> weights);

// The class place with the largest sum of weights, i64[rows]; a tie goes to the first class.
// Readers of one column.
[[nodiscard]] Result<Combine> hard_vote(std::vector<ColumnReader> readers,
                                        std::vector<double> weights);

// The weighted mean, f64[rows], or f64[rows, columns] where readers have several columns. NaN
// wherever a member says NaN.
[[nodiscard]] Result<Combine> mean_of_columns(std::vector<ColumnReader> readers,
                                              std::vector<double> weights);

}  // namespace slipstream
