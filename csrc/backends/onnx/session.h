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

// May operators that the session's first provider does not have run on the CPU instead?
enum class OnCpu : bool { kNone, kSome };

//   kInvalidArgument     a file that is no model this library can run; a bad provider
//   kFailedPrecondition  a provider that cannot run here, or `on_cpu` is kNone and some have to
[[nodiscard]] Result<Owned<OrtSession>> create_session(const ProviderContext& context,
                                                       const std::string& path, OnCpu on_cpu);

// Of the same file on the CPU and as it is, for what it says of itself.
[[nodiscard]] Result<Owned<OrtSession>> create_plain_session(const Runtime& runtime,
                                                             const std::string& path);

}  // namespace slipstream::onnx
