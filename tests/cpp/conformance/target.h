// Target: what a run of the conformance suite is about, read from the environment.
//
//   CONFORMANCE_BACKEND       the backend's name (required)
//   CONFORMANCE_MODEL         path of the artifact; without it the backend needs none
//   CONFORMANCE_OPTION_<key>  one backend option each
//   CONFORMANCE_BATCHABLE     "true" or "false": what the spec must say (unset: not checked)
//   CONFORMANCE_REFERENCE     file of inputs with the right answers (reference.h)
//   CONFORMANCE_DYNAMIC_DIM   size given to dynamic dimensions behind the first (default 3)
//
// By hand:  CONFORMANCE_BACKEND=echo CONFORMANCE_OPTION_width=2 build/dev/.../conformance [filter]
// Failure: throws std::runtime_error, which the harness reports.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/backend.h"

namespace slipstream::conformance {

struct Target {
  std::string backend;
  ModelConfig config;
  std::optional<bool> batchable;
  std::string reference_path;
  std::int64_t dynamic_dim = 3;
};

[[nodiscard]] const Target& target();

// The target's backend, opened.
[[nodiscard]] Backend& backend();

// A fresh load of the target's model, and a fresh instance of it.
[[nodiscard]] std::unique_ptr<Model> load_model();
[[nodiscard]] std::unique_ptr<Instance> create_instance(Model& model);

}  // namespace slipstream::conformance
