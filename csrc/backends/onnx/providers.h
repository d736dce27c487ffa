// Execution providers: what runs a model's operators, chosen by name (option `providers`).
//
// Adding one is a row in the table of providers.cc with the function that appends it to a session's
// options. Threads: any. Failure: a Status that says what is missing.
#pragma once

#include <string>

#include "backends/onnx/options.h"
#include "backends/onnx/ort_runtime.h"
#include "core/backend.h"
#include "core/status.h"

namespace slipstream::onnx {

struct ProviderContext {
  const Runtime& runtime;
  const OnnxOptions& options;
  int ordinal = 0;                  // of the GPU
  void* compute_stream = nullptr;   // a cudaStream_t that providers on a GPU work on
  const ModelSpec* spec = nullptr;  // of the model; null: not known yet
};

// Appends the providers, best first, to a session's options. Throws std::bad_alloc.
//   kInvalidArgument     a name that is no provider's, or none at all; one that does not compute
//                        where the option `device` says; a bad provider_options
//   kNotFound            no provider_library where the option says
//   kFailedPrecondition  a provider that cannot run here; the message names what is missing
[[nodiscard]] Status append_providers(const ProviderContext& context, OrtSessionOptions* session);

// Whether the library was built with the providers that are named: what can be told before anything
// is loaded. Failure as above.
[[nodiscard]] Status check_providers(const Runtime& runtime, const OnnxOptions& options);

// Refuses a first provider that does not compute on a GPU, for a model that is to.
[[nodiscard]] Status check_on_gpu(const OnnxOptions& options);

// Whether all that the providers do is on the stream that they are given. Those of a
// provider_library have streams of their own.
[[nodiscard]] bool work_on_stream(const OnnxOptions& options);

}  // namespace slipstream::onnx
