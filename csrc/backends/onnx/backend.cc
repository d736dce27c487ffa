// The onnx backend: ONNX Runtime through its C ABI, found in the installed wheel at run time.
//
// Files: ort_abi.h (the ABI, declared), ort_abi_check.cc (compared with the real header where there
// is one), ort_runtime (the library, opened and tried out), ort_status and ort_values (its statuses
// and values to ours), options, providers and provider_words, model_spec, model and instance;
// gpu_model, computation and gpu_target for models on GPUs.
#include "core/backend.h"

#include <new>

#include "backends/onnx/model.h"
#include "backends/onnx/ort_runtime.h"

namespace slipstream::onnx {
namespace {

class OnnxBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "onnx"; }

  // Empty until the first model has named the library.
  [[nodiscard]] std::string version() const noexcept override {
    const Runtime* const runtime = Runtime::current();
    if (runtime == nullptr) return {};
    try {
      return "onnxruntime " + runtime->version;
    } catch (const std::bad_alloc&) {
      return {};
    }
  }

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    try {
      return load_onnx_model(config);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("out of memory");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }
};

}  // namespace
}  // namespace slipstream::onnx

SLIPSTREAM_DEFINE_BACKEND(slipstream::onnx::OnnxBackend)
