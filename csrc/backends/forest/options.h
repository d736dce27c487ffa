// ForestOptions: how a forest model is run; never what it answers.
//
//   algorithm  "auto" (default) measures the candidates at load; else the name of the one to use,
//              as trees/evaluator.h lists them
//   threads    most threads that one call may use; default: the cores this process may use. 1:
//              never parallel
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <cstddef>

#include "backends/forest/trees/evaluator.h"
#include "core/backend.h"

namespace slipstream::forest {

struct ForestOptions {
  CompileOptions trees;
  std::size_t threads = 1;

  [[nodiscard]] static Result<ForestOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::forest
