#include "backends/onnx/model.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "backends/onnx/gpu_model.h"
#include "backends/onnx/graph_loops.h"
#include "backends/onnx/instance.h"
#include "backends/onnx/model_spec.h"
#include "backends/onnx/options.h"
#include "backends/onnx/session.h"
#include "core/mapped_file.h"

namespace slipstream::onnx {

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
  if (options.value().gpu) {
    return load_gpu_model(*runtime.value(), options.value(), config.path);
  }
  Result<Owned<OrtSession>> session =
      create_session({.runtime = *runtime.value(), .options = options.value()}, config.path);
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
