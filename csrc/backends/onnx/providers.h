// Execution providers: what runs a model's operators, chosen by name (option `providers`).
//
// Adding one is a row in the table of providers.cc with the function that appends it to a session's
// options. Threads: any. Failure: a Status that says what is missing.
#pragma once

#include <span>
#include <string>

#include "backends/onnx/ort_runtime.h"
#include "core/status.h"

namespace slipstream::onnx {

// Appends the providers, best first, to a session's options. Throws std::bad_alloc.
//   kInvalidArgument     a name that is no provider's, or none at all
//   kFailedPrecondition  a provider that cannot run here; the message names what is missing
[[nodiscard]] Status append_providers(const Runtime& runtime, std::span<const std::string> names,
                                      OrtSessionOptions* options);

}  // namespace slipstream::onnx
