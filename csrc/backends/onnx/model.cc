#include "backends/onnx/model.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "backends/onnx/graph_loops.h"
#include "backends/onnx/instance.h"
#include "backends/onnx/model_spec.h"
#include "backends/onnx/options.h"
#include "backends/onnx/providers.h"
#include "core/mapped_file.h"

namespace slipstream::onnx {
namespace {

constexpr const char* kIntraOpSpinning = "session.intra_op.allow_spinning";
constexpr const char* kInterOpSpinning = "session.inter_op.allow_spinning";

Result<Owned<OrtSessionOptions>> session_options(const Runtime& runtime,
                                                 const OnnxOptions& options) {
  const Api& api = runtime.api;
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
  if (Status status = append_providers(runtime, options.providers, raw); !status.is_ok()) {
    return status;
  }
  return owned;
}

Result<Owned<OrtSession>> create_session(const Runtime& runtime, const std::string& path,
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

OnnxModel::OnnxModel(const Runtime& runtime, Owned<OrtSession> session, ModelSpec spec,
                     bool may_loop)
    : runtime_(runtime),
      session_(std::move(session)),
      spec_(std::move(spec)),
      may_loop_(may_loop) {}

Result<std::unique_ptr<Instance>> OnnxModel::create_instance() noexcept {
  try {
    return OnnxInstance::create(*this);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

Result<std::unique_ptr<Model>> load_onnx_model(const ModelConfig& config) {
  const Result<OnnxOptions> options = OnnxOptions::parse(config);
  if (!options.is_ok()) return options.status();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(config.path, ignored)) {
    return not_found("onnx backend: no model file at '" + config.path + "'");
  }
  const Result<const Runtime*> runtime = Runtime::open(options.value().library_path);
  if (!runtime.is_ok()) return runtime.status();
  const Result<Owned<OrtSessionOptions>> settings =
      session_options(*runtime.value(), options.value());
  if (!settings.is_ok()) return settings.status();
  Result<Owned<OrtSession>> session =
      create_session(*runtime.value(), config.path, settings.value().get());
  if (!session.is_ok()) return session.status();
  Result<ModelSpec> spec =
      read_model_spec(*runtime.value(), session.value().get(), options.value().batchable);
  if (!spec.is_ok()) return spec.status();
  const Result<MappedFile> file = MappedFile::open(config.path);
  const bool loops = !file.is_ok() || may_loop(file.value().bytes());
  return std::unique_ptr<Model>(
      new OnnxModel(*runtime.value(), std::move(session).value(), std::move(spec).value(), loops));
}

}  // namespace slipstream::onnx
