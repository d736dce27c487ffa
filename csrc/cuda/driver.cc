#include "cuda/driver.h"

#include <dlfcn.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "cuda/cuda_status.h"

namespace slipstream::cuda {
namespace {

constexpr std::string_view kInstall =
    "; install NVIDIA's driver, of branch 525 or newer (a container gets it from its host: docker "
    "run --gpus all)";

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Why dlopen() refused it.
Status not_loaded(const std::string& path) {
  const char* const text = dlerror();
  const std::string_view reason = text != nullptr ? text : "";
  const bool is_missing =
      reason.starts_with(path + ":") && reason.find("No such file") != std::string_view::npos;
  return not_found(
      "no NVIDIA driver: " + path +
      (is_missing ? " is not found" : " cannot be loaded (" + std::string(reason) + ")") +
      std::string(kInstall));
}

Status no_driver(const std::string& path, const std::string& function) {
  return failed_precondition("no NVIDIA driver: " + path + " has no " + function +
                             ", so it is something else" + std::string(kInstall));
}

Status too_old(const std::string& path, const std::string& why) {
  return failed_precondition("the NVIDIA driver " + path + " is too old: " + why +
                             ", and slipstream needs one of CUDA " + version_text(kOldestCuda) +
                             std::string(kInstall));
}

// Why cuInit() refused, and what helps.
Status not_started(const Driver& driver, CUresult result) {
  const char* remedy = "; `nvidia-smi` and the kernel's log tell more";
  switch (result) {
    case CUDA_ERROR_NO_DEVICE:
      remedy =
          "; no GPU is in this machine, was given to this container, or is named by "
          "CUDA_VISIBLE_DEVICES";
      break;
    case CUDA_ERROR_STUB_LIBRARY:
      remedy = "; it is a toolkit's stub for linking: take its folder out of LD_LIBRARY_PATH";
      break;
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      remedy =
          "; the driver was updated under a kernel module of another version: restart the "
          "machine";
      break;
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      remedy = "; take the folder of CUDA's compatibility libraries out of LD_LIBRARY_PATH";
      break;
    case CUDA_ERROR_SYSTEM_NOT_READY:
      remedy = "; start nvidia-fabricmanager, which this machine's NVSwitch needs";
      break;
    case CUDA_ERROR_NOT_INITIALIZED:
      remedy = "; this process was forked from one that uses CUDA: start it by exec";
      break;
    default:
      break;
  }
  return failed_precondition("the NVIDIA driver " + driver.path + " does not start: cuInit: " +
                             cuda_error_text(driver, result) + remedy);
}

template <class Function>
Function symbol(void* library, const char* name) noexcept {
  return reinterpret_cast<Function>(dlsym(library, name));
}

// Fills `call` with what the driver has; the name of the first function that it has not, if any.
const char* resolve(PFN_cuGetProcAddress_v12000 get, Functions& call) {
  const auto find = [get](const char* name, int version) -> void* {
    void* found = nullptr;
    CUdriverProcAddressQueryResult outcome = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    const CUresult result = get(name, &found, version, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &outcome);
    return result == CUDA_SUCCESS && outcome == CU_GET_PROC_ADDRESS_SUCCESS ? found : nullptr;
  };
#define SLIPSTREAM_CUDA_RESOLVE(member, name, version)                           \
  call.member = reinterpret_cast<PFN_##name##_v##version>(find(#name, version)); \
  if (call.member == nullptr) return #name;
  SLIPSTREAM_CUDA_FUNCTIONS(SLIPSTREAM_CUDA_RESOLVE)
#undef SLIPSTREAM_CUDA_RESOLVE
  return nullptr;
}

Result<std::unique_ptr<Driver>> open_library(const std::string& path) {
  // Not closed when something below fails: a driver may have threads by then.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return not_loaded(path);
  auto driver = std::make_unique<Driver>();
  driver->path = path;

  const auto get_version = symbol<PFN_cuDriverGetVersion_v2020>(library, "cuDriverGetVersion");
  if (get_version == nullptr) return no_driver(path, "cuDriverGetVersion");
  if (get_version(&driver->cuda_version) != CUDA_SUCCESS || driver->cuda_version < kOldestCuda) {
    return too_old(path, "it is one of CUDA " + version_text(driver->cuda_version));
  }
  // The second version of this function, the first that all drivers of CUDA 12 have.
  const auto get = symbol<PFN_cuGetProcAddress_v12000>(library, "cuGetProcAddress_v2");
  if (get == nullptr) return no_driver(path, "cuGetProcAddress_v2");
  if (const char* const missing = resolve(get, driver->call); missing != nullptr) {
    return too_old(path, "it has no " + std::string(missing));
  }

  if (const CUresult result = driver->call.init(0); result != CUDA_SUCCESS) {
    return not_started(*driver, result);
  }
  if (const CUresult result = driver->call.device_get_count(&driver->devices);
      result != CUDA_SUCCESS || driver->devices == 0) {
    return not_started(*driver, result != CUDA_SUCCESS ? result : CUDA_ERROR_NO_DEVICE);
  }
  return driver;
}

std::mutex open_mutex;
const Driver* the_driver = nullptr;  // with the mutex, like the next
pid_t opened_in = 0;

// `path` is null for whichever runs.
Result<const Driver*> open_once(const std::string* path) {
  const std::scoped_lock lock(open_mutex);
  if (the_driver != nullptr) {
    if (opened_in != getpid()) {
      return failed_precondition(
          "CUDA cannot be used here: this process was forked from one that uses CUDA; start it by "
          "exec (multiprocessing: the \"spawn\" method)");
    }
    if (path == nullptr || *path == the_driver->path) return the_driver;
    return failed_precondition("this process already runs the NVIDIA driver " + the_driver->path +
                               ": " + *path + " is another one");
  }
  Result<std::unique_ptr<Driver>> opened = open_library(path != nullptr ? *path : kDriverLibrary);
  if (!opened.is_ok()) return opened.status();
  the_driver = std::move(opened).value().release();
  opened_in = getpid();
  return the_driver;
}

}  // namespace

Result<const Driver*> Driver::open() {
  return open_once(nullptr);
}

Result<const Driver*> Driver::open(const std::string& path) {
  return open_once(&path);
}

}  // namespace slipstream::cuda
