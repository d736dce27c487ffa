// The torch backend: TorchScript archives and AOTInductor packages, on libtorch.
//
// It is compiled against the torch that is installed (`slipstream build-backend torch`): libtorch
// has no stable ABI for these two. Files: options, values (tensors to and from libtorch's), layout
// (tensors to and from tuples, lists and dicts), state (modules that remember), script_model,
// package_model, checks, threads, failures; and for GPUs device_model, device_computation, target.
#include "core/backend.h"

#include <torch/headeronly/version.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "backends/torch/device_model.h"
#include "backends/torch/failures.h"
#include "backends/torch/options.h"
#include "backends/torch/package_model.h"
#include "backends/torch/script_model.h"

namespace slipstream::libtorch {
namespace {

// May throw what libtorch throws.
Result<std::unique_ptr<Model>> open(const ModelConfig& config) {
  Result<TorchOptions> options = TorchOptions::parse(config);
  if (!options.is_ok()) return options.status();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(config.path, ignored)) {
    return not_found("torch backend: no model file at '" + config.path + "'");
  }
  if (!options.value().devices.empty()) {
    return DeviceModel::load(config, std::move(options).value());
  }
  const c10::Device host(c10::kCPU);
  return options.value().kind == Kind::kScript
             ? ScriptModel::load(config, std::move(options).value(), host)
             : PackageModel::load(config, std::move(options).value(), host);
}

class TorchBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "torch"; }

  [[nodiscard]] std::string version() const noexcept override {
    try {
      return "torch " TORCH_VERSION;
    } catch (const std::bad_alloc&) {
      return {};
    }
  }

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    Result<std::unique_ptr<Model>> loaded =
        guarded("torch backend: the file does not load with torch " TORCH_VERSION,
                [&config] { return open(config); });
    // What fails while it is opened is the file's fault.
    if (!loaded.is_ok() && loaded.status().code() == StatusCode::kInternal) {
      return Status(StatusCode::kInvalidArgument, loaded.status().message());
    }
    return loaded;
  }
};

}  // namespace
}  // namespace slipstream::libtorch

SLIPSTREAM_DEFINE_BACKEND(slipstream::libtorch::TorchBackend)
