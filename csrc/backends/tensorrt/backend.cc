// The tensorrt backend: plans of TensorRT on GPUs of NVIDIA's, by the full runtime or the lean one.
//
// It is compiled where TensorRT's headers and CUDA's are; the library is found at run time.
// Files: plan_header, options, face and refusal are pure and know nothing of TensorRT; library (the
// runtime, opened and checked), told (its log), engine and describe (a plan on a device),
// computation (what a batch is), model.
#include "core/backend.h"

#include <new>

#include "backends/tensorrt/library.h"
#include "backends/tensorrt/model.h"
#include "cuda/cuda_device.h"

namespace slipstream::tensorrt {
namespace {

Result<std::shared_ptr<device::Device>> open_cuda(int index) noexcept {
  Result<std::shared_ptr<cuda::CudaDevice>> opened = cuda::CudaDevice::open(index);
  if (!opened.is_ok()) return opened.status();
  return std::shared_ptr<device::Device>(std::move(opened).value());
}

class TensorRtBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "tensorrt"; }

  // Empty until the first model has named the library.
  [[nodiscard]] std::string version() const noexcept override {
    const Library* const library = Library::current();
    if (library == nullptr) return {};
    try {
      return "tensorrt " + to_string(library->version());
    } catch (const std::bad_alloc&) {
      return {};
    }
  }

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    try {
      return load_tensorrt_model(config, &open_cuda);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("out of memory");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }
};

}  // namespace
}  // namespace slipstream::tensorrt

SLIPSTREAM_DEFINE_BACKEND(slipstream::tensorrt::TensorRtBackend)
