#include "backends/tensorrt/library.h"

#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {
namespace {

constexpr int kMajor = NV_TENSORRT_MAJOR;
constexpr const char* kCreateEntry = "createInferRuntime_INTERNAL";
constexpr const char* kVersionEntry = "getInferLibVersion";

std::string remedy() {
  const std::string major = std::to_string(kMajor);
  return "; install tensorrt-cu13==" + major + ".* (or tensorrt-lean-cu13==" + major +
         ".*, which runs plans that were built with version_compatible)";
}

std::array<std::string, 2> names() {
  const std::string major = std::to_string(kMajor);
  return {"libnvinfer.so." + major, "libnvinfer_lean.so." + major};
}

Status unusable(const std::string& path, const std::string& why) {
  return failed_precondition("tensorrt backend: " + path + " " + why + remedy());
}

std::string last_error() {
  const char* const reason = dlerror();
  return reason != nullptr ? reason : "?";
}

// 101602 -> 10.16.2.
Version version_of(std::int32_t number) {
  return {.major = number / 10000, .minor = number / 100 % 100, .patch = number % 100};
}

// What createInferRuntime answers where it fails is not always null: of 10.16 and 11.1 it is a null
// pointer that was moved to another base of its class. No object is in the first page.
bool is_object(const void* pointer) {
  constexpr std::uintptr_t kFirstPageBytes = 4096;
  return reinterpret_cast<std::uintptr_t>(pointer) >= kFirstPageBytes;
}

std::mutex open_mutex;
// Stored under open_mutex with release, read anywhere with acquire (in current()): whoever sees the
// pointer sees the object.
std::atomic<const Library*> the_library{nullptr};

}  // namespace

Library::Library(RuntimeFacts facts, Create create) : facts_(std::move(facts)), create_(create) {}

RuntimeFacts Library::facts(std::string device) const {
  RuntimeFacts facts = facts_;
  facts.device = std::move(device);
  return facts;
}

Result<std::unique_ptr<nvinfer1::IRuntime>> Library::create_runtime() const {
  const Told told;
  void* const made = create_(&Told::log(), NV_TENSORRT_VERSION);
  if (is_object(made)) {
    return std::unique_ptr<nvinfer1::IRuntime>(static_cast<nvinfer1::IRuntime*>(made));
  }
  return unavailable("tensorrt backend: TensorRT " + to_string(facts_.version) + " (" +
                     facts_.library + ") does not start; it needs a GPU of NVIDIA's and a driver " +
                     "that is new enough for it" + in_its_words(told.text()));
}

Result<std::unique_ptr<Library>> Library::load(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return unusable(path, "does not open: " + last_error());
  const auto create = reinterpret_cast<Create>(dlsym(library, kCreateEntry));
  const auto version = reinterpret_cast<std::int32_t (*)() noexcept>(dlsym(library, kVersionEntry));
  if (create == nullptr || version == nullptr) {
    return unusable(path, std::string("is no runtime of TensorRT (no ") +
                              (create == nullptr ? kCreateEntry : kVersionEntry) + ")");
  }
  RuntimeFacts facts{.library = path, .version = version_of(version()), .device = {}};
  if (facts.version.major != kMajor) {
    return unusable(path, "is TensorRT " + to_string(facts.version) +
                              ", and this backend was compiled for TensorRT " +
                              std::to_string(kMajor) +
                              " (slipstream build-backend tensorrt compiles it for another)");
  }
  const std::string file = std::filesystem::path(path).filename().string();
  facts.is_lean = file.find("nvinfer_lean") != std::string::npos;
  return std::unique_ptr<Library>(new Library(std::move(facts), create));
}

Result<const Library*> Library::open(const std::string& path) {
  std::string wanted;
  if (!path.empty()) {
    std::error_code error;
    wanted = std::filesystem::canonical(path, error).string();
    if (error) {
      return not_found("tensorrt backend: no library at " + path + " (" + error.message() + ")" +
                       remedy());
    }
  }
  const std::scoped_lock lock(open_mutex);
  if (const Library* const known = current()) {
    if (wanted.empty() || known->facts_.library == wanted) return known;
    return failed_precondition("tensorrt backend: this process already runs " +
                               known->facts_.library + "; use the same library_path, " + wanted +
                               " is another one");
  }
  Status why;
  for (const std::string& name : names()) {
    Result<std::unique_ptr<Library>> loaded = load(wanted.empty() ? name : wanted);
    if (loaded.is_ok()) {
      const Library* const library = std::move(loaded).value().release();
      the_library.store(library, std::memory_order_release);
      return library;
    }
    if (!wanted.empty()) return loaded.status();
    if (why.is_ok()) why = loaded.status();
  }
  const std::string first = why.message().substr(0, why.message().size() - remedy().size());
  return not_found("tensorrt backend: TensorRT is not installed (neither " + names()[0] + " nor " +
                   names()[1] + " opens)" + remedy() + ". Of the first: " + first);
}

const Library* Library::current() noexcept {
  return the_library.load(std::memory_order_acquire);
}

}  // namespace slipstream::tensorrt
