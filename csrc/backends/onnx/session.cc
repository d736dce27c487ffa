#include "backends/onnx/session.h"

namespace slipstream::onnx {
namespace {

constexpr const char* kIntraOpSpinning = "session.intra_op.allow_spinning";
constexpr const char* kInterOpSpinning = "session.inter_op.allow_spinning";

Result<Owned<OrtSessionOptions>> session_options(const ProviderContext& context) {
  const Api& api = context.runtime.api;
  const OnnxOptions& options = context.options;
  OrtSessionOptions* raw = nullptr;
  OrtStatus* failed = api.CreateSessionOptions(&raw);
  Owned<OrtSessionOptions> owned(raw, api.ReleaseSessionOptions);
  const char* const spinning = options.allow_spinning ? "1" : "0";
  if (!failed) failed = api.SetIntraOpNumThreads(raw, options.intra_op_threads);
  if (!failed) failed = api.SetInterOpNumThreads(raw, options.inter_op_threads);
  if (!failed) failed = api.SetSessionExecutionMode(raw, options.execution_mode);
  if (!failed) failed = api.SetSessionGraphOptimizationLevel(raw, options.graph_optimization);
  if (!failed) failed = api.AddSessionConfigEntry(raw, kIntraOpSpinning, spinning);
  if (!failed) failed = api.AddSessionConfigEntry(raw, kInterOpSpinning, spinning);
  if (failed) {
    return take_status(api, failed, Phase::kLoad, "onnx backend: the options are refused");
  }
  if (Status status = append_providers(context, raw); !status.is_ok()) return status;
  return owned;
}

Result<Owned<OrtSession>> open_session(const Runtime& runtime, const std::string& path,
                                       const OrtSessionOptions* options) {
  OrtSession* session = nullptr;
  if (OrtStatus* const failed =
          runtime.api.CreateSession(runtime.env, path.c_str(), options, &session)) {
    return take_status(
        runtime.api, failed, Phase::kLoad,
        "onnx backend: " + path + " does not load with ONNX Runtime " + runtime.version);
  }
  return Owned<OrtSession>(session, runtime.api.ReleaseSession);
}

}  // namespace

Result<Owned<OrtSession>> create_session(const ProviderContext& context, const std::string& path) {
  const Result<Owned<OrtSessionOptions>> options = session_options(context);
  if (!options.is_ok()) return options.status();
  return open_session(context.runtime, path, options.value().get());
}

Result<Owned<OrtSession>> create_plain_session(const Runtime& runtime, const std::string& path) {
  OnnxOptions plain;
  plain.providers = {"cpu"};
  plain.graph_optimization = kOptimizeNothing;
  return create_session({.runtime = runtime, .options = plain}, path);
}

}  // namespace slipstream::onnx
