// choose(): times the candidates at load, on rows around the thresholds of the trees, and keeps for
// each batch size the quickest. All of them give the same bits, so the choice is of speed alone.
#pragma once

#include <memory>
#include <vector>

#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/planes.h"

namespace slipstream::forest {

// Precondition: at least one candidate. Takes some milliseconds. Throws std::bad_alloc.
[[nodiscard]] std::unique_ptr<Evaluator> choose(const Ensemble& trees, const Planes& planes,
                                                std::vector<std::unique_ptr<Evaluator>> candidates);

}  // namespace slipstream::forest
