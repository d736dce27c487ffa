#include "backends/onnx/providers.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <vector>

#include "backends/onnx/ort_status.h"
#include "backends/onnx/provider_words.h"

namespace slipstream::onnx {
namespace {

using Append = Status (*)(const ProviderContext& context, const Words& told,
                          OrtSessionOptions* session);

struct Provider {
  std::string_view name;      // what an operator writes
  std::string_view ort_name;  // what ONNX Runtime calls it
  std::string_view package;   // the wheel whose library has it
  bool is_on_gpu;
  Append append;
};

// Words as the C ABI takes them.
struct WordArrays {
  explicit WordArrays(const Words& words) {
    for (const auto& [key, value] : words) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
};

// What a provider that is there could not do: load its libraries, or start its device.
Status cannot_run(const Runtime& runtime, OrtStatus* failed, const std::string& provider) {
  Status status = take_status(runtime.api, failed, Phase::kLoad,
                              "onnx backend: provider '" + provider + "' cannot run");
  if (status.is_ok()) return status;
  return failed_precondition(status.message());
}

// ONNX Runtime puts the CPU behind every other provider by itself, so there is nothing to append.
Status append_cpu(const ProviderContext&, const Words&, OrtSessionOptions*) {
  return Status::ok();
}

Status append_cuda(const ProviderContext& context, const Words& told, OrtSessionOptions* session) {
  const Words words = cuda_words(context, told);
  const Api& api = context.runtime.api;
  OrtCUDAProviderOptionsV2* raw = nullptr;
  OrtStatus* failed = api.CreateCUDAProviderOptions(&raw);
  const Owned<OrtCUDAProviderOptionsV2> owned(raw, api.ReleaseCUDAProviderOptions);
  const WordArrays arrays(words);
  if (!failed) {
    failed =
        api.UpdateCUDAProviderOptions(raw, arrays.keys.data(), arrays.values.data(), words.size());
  }
  if (!failed) failed = api.SessionOptionsAppendExecutionProvider_CUDA_V2(session, raw);
  return cannot_run(context.runtime, failed, "cuda");
}

Status append_tensorrt(const ProviderContext& context, const Words& told,
                       OrtSessionOptions* session) {
  const Words words = tensorrt_words(context, told);
  const Api& api = context.runtime.api;
  OrtTensorRTProviderOptionsV2* raw = nullptr;
  OrtStatus* failed = api.CreateTensorRTProviderOptions(&raw);
  const Owned<OrtTensorRTProviderOptionsV2> owned(raw, api.ReleaseTensorRTProviderOptions);
  const WordArrays arrays(words);
  if (!failed) {
    failed = api.UpdateTensorRTProviderOptions(raw, arrays.keys.data(), arrays.values.data(),
                                               words.size());
  }
  if (!failed) failed = api.SessionOptionsAppendExecutionProvider_TensorRT_V2(session, raw);
  return cannot_run(context.runtime, failed, "tensorrt");
}

constexpr std::array<Provider, 3> kProviders{
    {{"cpu", "CPUExecutionProvider", "onnxruntime", false, &append_cpu},
     {"cuda", "CUDAExecutionProvider", "onnxruntime-gpu", true, &append_cuda},
     {"tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu", true, &append_tensorrt}}};

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

Status check_built_in(const Runtime& runtime, const Provider& provider) {
  const Result<std::vector<std::string>> built_in = built_in_providers(runtime);
  if (!built_in.is_ok()) return built_in.status();
  if (std::ranges::find(built_in.value(), provider.ort_name) != built_in.value().end()) {
    return Status::ok();
  }
  return failed_precondition("onnx backend: provider '" + std::string(provider.name) +
                             "' cannot run: " + runtime.path + " was built without " +
                             std::string(provider.ort_name) + "; install " +
                             std::string(provider.package) + " instead of onnxruntime");
}

// A library registers itself with the process's environment, once.
Status register_library(const Runtime& runtime, const std::string& path) {
  static std::mutex mutex;
  static std::vector<std::string> registered;  // with the mutex
  std::error_code error;
  const std::string canonical = std::filesystem::canonical(path, error).string();
  if (error) {
    return not_found("onnx backend: no provider_library at '" + path + "' (" + error.message() +
                     ")");
  }
  const std::scoped_lock lock(mutex);
  if (std::ranges::find(registered, canonical) != registered.end()) return Status::ok();
  Status status =
      take_status(runtime.api,
                  runtime.plugins.RegisterExecutionProviderLibrary(runtime.env, canonical.c_str(),
                                                                   canonical.c_str()),
                  Phase::kLoad, "onnx backend: " + canonical + " has no providers to be used");
  if (status.is_ok()) registered.push_back(canonical);
  return status;
}

Status append_plugin(const ProviderContext& context, const std::string& name, const Words& words,
                     OrtSessionOptions* session) {
  const Runtime& runtime = context.runtime;
  if (runtime.plugins.GetEpDevices == nullptr) {
    return failed_precondition("onnx backend: provider_library needs ONNX Runtime 1.22 or later, " +
                               runtime.path + " is " + runtime.version);
  }
  Status status = register_library(runtime, context.options.provider_library);
  if (!status.is_ok()) return status;
  const OrtEpDevice* const* devices = nullptr;
  std::size_t count = 0;
  status = take_status(runtime.api, runtime.plugins.GetEpDevices(runtime.env, &devices, &count),
                       Phase::kLoad, "onnx backend: the providers' devices cannot be listed");
  if (!status.is_ok()) return status;
  std::vector<const OrtEpDevice*> its;
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view of = runtime.plugins.EpDevice_EpName(devices[i]);
    if (of == name) its.push_back(devices[i]);
    names += (names.empty() ? "" : ", ") + std::string(of);
  }
  if (its.empty()) {
    return invalid_argument("onnx backend: option 'providers': no provider '" + name +
                            "' has a device here; there are those of " +
                            (names.empty() ? "none" : names));
  }
  const WordArrays arrays(words);
  return cannot_run(runtime,
                    runtime.plugins.SessionOptionsAppendExecutionProvider_V2(
                        session, runtime.env, its.data(), its.size(), arrays.keys.data(),
                        arrays.values.data(), words.size()),
                    name);
}

Status append_provider(const ProviderContext& context, const std::string& name, const Words& words,
                       OrtSessionOptions* session) {
  const OnnxOptions& options = context.options;
  const auto* const provider = std::ranges::find(kProviders, name, &Provider::name);
  if (provider == kProviders.end()) {
    if (!options.provider_library.empty()) return append_plugin(context, name, words, session);
    return invalid_argument("onnx backend: option 'providers': there is no provider '" + name +
                            "'; the names are cpu, cuda, tensorrt, and those of a " +
                            "provider_library");
  }
  if (provider->is_on_gpu && !options.gpu) {
    return invalid_argument("onnx backend: option 'providers': '" + name +
                            "' computes on a GPU, and the option 'device' says cpu; set it to "
                            "cuda:0, or another");
  }
  return provider->append(context, words, session);
}

}  // namespace

Status append_providers(const ProviderContext& context, OrtSessionOptions* session) {
  if (Status status = check_providers(context.runtime, context.options); !status.is_ok()) {
    return status;
  }
  const std::vector<std::string>& names = context.options.providers;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Words words = i == 0 ? context.options.provider_options : Words{};
    Status status = append_provider(context, names[i], words, session);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

Status check_on_gpu(const OnnxOptions& options) {
  const std::string& first = options.providers.front();
  const auto* const provider = std::ranges::find(kProviders, first, &Provider::name);
  if (provider == kProviders.end() || provider->is_on_gpu) return Status::ok();
  return invalid_argument("onnx backend: option 'providers': '" + first +
                          "' computes on the processor, and the option 'device' names a GPU; "
                          "leave one of them out");
}

bool work_on_stream(const OnnxOptions& options) {
  return std::ranges::all_of(options.providers, [](const std::string& name) {
    return std::ranges::find(kProviders, name, &Provider::name) != kProviders.end();
  });
}

Status check_providers(const Runtime& runtime, const OnnxOptions& options) {
  for (const std::string& name : options.providers) {
    const auto* const provider = std::ranges::find(kProviders, name, &Provider::name);
    if (provider == kProviders.end()) continue;
    if (Status status = check_built_in(runtime, *provider); !status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace slipstream::onnx
