// Sessions: a model file, loaded by ONNX Runtime with the options and providers that were asked
// for.
//
// Threads: any. Failure: a Status that names the file; throws std::bad_alloc.
#pragma once

#include <string>

#include "backends/onnx/options.h"
#include "backends/onnx/ort_runtime.h"
#include "backends/onnx/ort_status.h"
#include "backends/onnx/providers.h"

namespace slipstream::onnx {

//   kInvalidArgument     a file that is no model this library can run; a bad provider
//   kFailedPrecondition  a provider that cannot run here
[[nodiscard]] Result<Owned<OrtSession>> create_session(const ProviderContext& context,
                                                       const std::string& path);

// Of the same file on the CPU and as it is, for what it says of itself. That the CPU does not have
// an operator in some type is a refusal here too.
[[nodiscard]] Result<Owned<OrtSession>> create_plain_session(const Runtime& runtime,
                                                             const std::string& path);

}  // namespace slipstream::onnx
