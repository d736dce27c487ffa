#include "backends/onnx/ort_runtime.h"

#include <dlfcn.h>

#include <array>
#include <atomic>
#include <charconv>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include "backends/onnx/ort_status.h"

namespace slipstream::onnx {
namespace {

constexpr std::string_view kRemedy =
    "; install onnxruntime 1.15 or later and pass its libonnxruntime.so as library_path";

// ONNX Runtime's warnings say nothing a server could act on, and its errors reach us as statuses.
void discard_log(void*, int, const char*, const char*, const char*, const char*) {}

Status unusable(const std::string& path, const std::string& why) {
  return failed_precondition("onnx backend: " + path + " " + why + std::string(kRemedy));
}

// "1.31.1" -> 31; nullopt unless it begins with "1." and a number.
std::optional<std::uint32_t> minor_version(std::string_view version) {
  if (!version.starts_with("1.")) return std::nullopt;
  version.remove_prefix(2);
  std::uint32_t minor = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), minor);
  if (error != std::errc{} || end == version.data()) return std::nullopt;
  return minor;
}

// Where the object that holds `address` is mapped; null if no object does.
void* object_base(const void* address) {
  Dl_info info{};
  return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

// Fills `api` from the table. False when a slot holds anything but an address inside the library
// the table came from: then it is no OrtApi, and calling into it would crash.
#define SLIPSTREAM_ORT_READ(slot, result, name, parameters)   \
  if (object_base(slots[slot]) != library_base) return false; \
  api.name = reinterpret_cast<decltype(api.name)>(slots[slot]);
bool read_table(const void* table, void* library_base, Api& api) {
  const auto* const slots = static_cast<void* const*>(table);
  SLIPSTREAM_ORT_SLOTS(SLIPSTREAM_ORT_READ)
  return true;
}
bool read_table(const void* table, void* library_base, PluginApi& api) {
  const auto* const slots = static_cast<void* const*>(table);
  SLIPSTREAM_ORT_PLUGIN_SLOTS(SLIPSTREAM_ORT_READ)
  return true;
}
bool read_table(const void* table, void* library_base, LocationApi& api) {
  const auto* const slots = static_cast<void* const*>(table);
  SLIPSTREAM_ORT_LOCATION_SLOTS(SLIPSTREAM_ORT_READ)
  return true;
}
#undef SLIPSTREAM_ORT_READ

// A status goes in, the same code and message come out: slots 0, 1, 2 and 93 are what we think.
bool status_round_trips(const Api& api) {
  constexpr const char* kMessage = "slipstream self-test";
  OrtStatus* const status = api.CreateStatus(kInvalidGraph, kMessage);
  if (status == nullptr) return false;
  const Owned<OrtStatus> owned(status, api.ReleaseStatus);
  const char* const message = api.GetErrorMessage(status);
  return api.GetErrorCode(status) == kInvalidGraph && message != nullptr &&
         std::string_view(message) == kMessage;
}

// A wrapped tensor reports the memory, type and shape it was made of: the slots of every request.
bool tensor_round_trips(const Runtime& runtime) {
  const Api& api = runtime.api;
  std::array<float, 6> numbers{};
  const std::array<std::int64_t, 2> dims{2, 3};
  OrtValue* value = nullptr;
  if (api.CreateTensorWithDataAsOrtValue(runtime.cpu_memory, numbers.data(), sizeof numbers,
                                         dims.data(), dims.size(), kElementFloat,
                                         &value) != nullptr ||
      value == nullptr) {
    return false;
  }
  const Owned<OrtValue> owned_value(value, api.ReleaseValue);
  void* data = nullptr;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (api.GetTensorMutableData(value, &data) != nullptr || data != numbers.data()) return false;
  if (api.GetTensorTypeAndShape(value, &info) != nullptr || info == nullptr) return false;
  const Owned<OrtTensorTypeAndShapeInfo> owned_info(info, api.ReleaseTensorTypeAndShapeInfo);
  int type = kElementUndefined;
  std::size_t rank = 0;
  std::array<std::int64_t, 2> seen{};
  return api.GetTensorElementType(info, &type) == nullptr && type == kElementFloat &&
         api.GetDimensionsCount(info, &rank) == nullptr && rank == dims.size() &&
         api.GetDimensions(info, seen.data(), rank) == nullptr && seen == dims;
}

Status create_shared_objects(Runtime& runtime) {
  const Api& api = runtime.api;
  const std::string context = "onnx backend: " + runtime.path + " does not start";
  Status status = take_status(
      api,
      api.CreateEnvWithCustomLogger(&discard_log, nullptr, kLogFatal, "slipstream", &runtime.env),
      Phase::kRun, context);
  if (!status.is_ok()) return status;
  status = take_status(api, api.DisableTelemetryEvents(runtime.env), Phase::kRun, context);
  if (!status.is_ok()) return status;
  status = take_status(
      api, api.CreateCpuMemoryInfo(kDeviceAllocator, kDefaultMemory, &runtime.cpu_memory),
      Phase::kRun, context);
  if (!status.is_ok()) return status;
  return take_status(api, api.GetAllocatorWithDefaultOptions(&runtime.allocator), Phase::kRun,
                     context);
}

// Opens and checks the library at `path`. A library that fails stays mapped: there is no telling
// which of its threads already run.
Result<std::unique_ptr<Runtime>> open_library(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    return unusable(path, std::string("does not open: ") + (reason != nullptr ? reason : "?"));
  }
  const auto entry = reinterpret_cast<const ApiBase* (*)() noexcept>(dlsym(library, kEntryPoint));
  if (entry == nullptr) return unusable(path, "is not ONNX Runtime (no OrtGetApiBase)");
  const ApiBase* const base = entry();
  const char* const version = base != nullptr ? base->GetVersionString() : nullptr;
  const auto minor = minor_version(version != nullptr ? version : "");
  if (!minor || *minor < kApiVersion) {
    return unusable(path, "is ONNX Runtime version '" + std::string(version ? version : "") + "'");
  }
  auto runtime = std::make_unique<Runtime>();
  runtime->path = path;
  runtime->version = version;
  const void* const table = base->GetApi(kApiVersion);
  if (table == nullptr)
    return unusable(path, "does not offer API version " + std::to_string(kApiVersion));
  void* const library_base = object_base(reinterpret_cast<const void*>(entry));
  const void* const plugins =
      *minor >= kPluginApiVersion ? base->GetApi(kPluginApiVersion) : nullptr;
  const void* const locations =
      *minor >= kLocationApiVersion ? base->GetApi(kLocationApiVersion) : nullptr;
  if (!read_table(table, library_base, runtime->api) || !status_round_trips(runtime->api) ||
      (plugins != nullptr && !read_table(plugins, library_base, runtime->plugins)) ||
      (locations != nullptr && !read_table(locations, library_base, runtime->locations))) {
    return unusable(path, "fails the self-test: its function table is not laid out as expected");
  }
  if (Status status = create_shared_objects(*runtime); !status.is_ok()) return status;
  if (!tensor_round_trips(*runtime)) {
    return unusable(path, "fails the self-test: a tensor does not come back as it was made");
  }
  return runtime;
}

std::mutex open_mutex;
// Stored under open_mutex with release, read anywhere with acquire (in current()): whoever sees the
// pointer sees the object.
std::atomic<const Runtime*> the_runtime{nullptr};

}  // namespace

Result<const Runtime*> Runtime::open(const std::string& path) {
  std::error_code error;
  const std::string canonical = std::filesystem::canonical(path, error).string();
  if (error) {
    return not_found("onnx backend: no ONNX Runtime library at " + path + " (" + error.message() +
                     ")" + std::string(kRemedy));
  }
  const std::scoped_lock lock(open_mutex);
  if (const Runtime* const known = the_runtime.load(std::memory_order_acquire)) {
    if (known->path == canonical) return known;
    return failed_precondition("onnx backend: this process already runs " + known->path +
                               "; use the same library_path, " + canonical + " is another one");
  }
  Result<std::unique_ptr<Runtime>> opened = open_library(canonical);
  if (!opened.is_ok()) return opened.status();
  const Runtime* const runtime = std::move(opened).value().release();
  the_runtime.store(runtime, std::memory_order_release);
  return runtime;
}

const Runtime* Runtime::current() noexcept {
  return the_runtime.load(std::memory_order_acquire);
}

}  // namespace slipstream::onnx
