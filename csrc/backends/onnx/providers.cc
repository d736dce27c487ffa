#include "backends/onnx/providers.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "backends/onnx/ort_status.h"

namespace slipstream::onnx {
namespace {

using Append = Status (*)(const Runtime& runtime, OrtSessionOptions* options);

struct Provider {
  std::string_view name;      // what an operator writes
  std::string_view ort_name;  // what ONNX Runtime calls it
  std::string_view package;   // the wheel whose library has it
  Append append;              // null: this backend knows of it but has no way to run it
};

// ONNX Runtime puts the CPU behind every other provider by itself, so there is nothing to append.
Status append_cpu(const Runtime&, OrtSessionOptions*) {
  return Status::ok();
}

constexpr std::array<Provider, 3> kProviders{
    {{"cpu", "CPUExecutionProvider", "onnxruntime", &append_cpu},
     {"cuda", "CUDAExecutionProvider", "onnxruntime-gpu", nullptr},
     {"tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu", nullptr}}};

// The providers that the opened library was built with.
Result<std::vector<std::string>> built_in_providers(const Runtime& runtime) {
  char** names = nullptr;
  int count = 0;
  Status status = take_status(runtime.api, runtime.api.GetAvailableProviders(&names, &count),
                              Phase::kRun, "onnx backend: the providers cannot be listed");
  if (!status.is_ok()) return status;
  std::vector<std::string> result(names, names + count);
  status = take_status(runtime.api, runtime.api.ReleaseAvailableProviders(names, count),
                       Phase::kRun, "onnx backend: the provider list cannot be released");
  if (!status.is_ok()) return status;
  return result;
}

Status cannot_run(const Runtime& runtime, const Provider& provider) {
  const Result<std::vector<std::string>> built_in = built_in_providers(runtime);
  if (!built_in.is_ok()) return built_in.status();
  std::string message = "onnx backend: provider '" + std::string(provider.name) + "' cannot run: ";
  if (std::ranges::find(built_in.value(), provider.ort_name) == built_in.value().end()) {
    message += runtime.path + " was built without " + std::string(provider.ort_name) +
               " (install " + std::string(provider.package) + "), and ";
  }
  return failed_precondition(message + "this build of slipstream runs ONNX models on cpu only");
}

}  // namespace

Status append_providers(const Runtime& runtime, std::span<const std::string> names,
                        OrtSessionOptions* options) {
  for (const std::string& name : names) {
    const auto* const provider = std::ranges::find(kProviders, name, &Provider::name);
    if (provider == kProviders.end()) {
      return invalid_argument("onnx backend: option 'providers': there is no provider '" + name +
                              "'; the names are cpu, cuda, tensorrt");
    }
    if (provider->append == nullptr) return cannot_run(runtime, *provider);
    if (Status status = provider->append(runtime, options); !status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace slipstream::onnx
