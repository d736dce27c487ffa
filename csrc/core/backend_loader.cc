#include "core/backend_loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <system_error>
#include <utility>

namespace slipstream {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "libslipstream_backend_";
constexpr std::string_view kSuffix = ".so";
#define SLIPSTREAM_TEXT_OF(symbol) #symbol
#define SLIPSTREAM_NAME_OF(symbol) SLIPSTREAM_TEXT_OF(symbol)
constexpr const char* kEntryName = SLIPSTREAM_NAME_OF(SLIPSTREAM_BACKEND_ENTRY);

using Entry = Backend* (*)() noexcept;

// Every library opened by this process, by its path with links resolved. Immortal on purpose:
// backends must outlive all static objects that may still hold a tensor of theirs.
struct OpenedBackends {
  std::mutex mutex;
  std::map<std::string, Backend*> by_path;
};

OpenedBackends& opened_backends() {
  static auto* const opened = new OpenedBackends;
  return *opened;
}

bool is_backend_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += ", ";
    text += item;
  }
  return text.empty() ? "none" : text;
}

// dlerror() reports the last failure on this thread and clears it.
std::string last_dl_error() {
  const char* const text = dlerror();
  return text != nullptr ? text : "no reason given by the dynamic linker";
}

// Precondition: `path` is canonical and the lock of opened_backends() is held.
Result<Backend*> open_library(const std::string& path, std::string_view name) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return failed_precondition("backend '" + std::string(name) +
                               "' does not open: " + last_dl_error());
  }
  const auto entry = reinterpret_cast<Entry>(dlsym(library, kEntryName));
  if (entry == nullptr) {
    return failed_precondition(path + " does not export " + kEntryName +
                               ": it is no slipstream backend, or one built for another version");
  }
  Backend* const backend = entry();
  if (backend == nullptr) return resource_exhausted("out of memory");
  return backend;
}

Result<Backend*> open_once(const fs::path& file, std::string_view name) {
  std::error_code error;
  const fs::path canonical = fs::canonical(file, error);
  if (error) {
    return failed_precondition("backend '" + std::string(name) + "': " + file.string() +
                               " cannot be resolved: " + error.message());
  }
  OpenedBackends& opened = opened_backends();
  const std::scoped_lock lock(opened.mutex);
  auto known = opened.by_path.find(canonical.string());
  if (known == opened.by_path.end()) {
    const Result<Backend*> backend = open_library(canonical.string(), name);
    if (!backend.is_ok()) return backend.status();
    known = opened.by_path.emplace(canonical.string(), backend.value()).first;
  }
  if (known->second->name() != name) {
    return failed_precondition(canonical.string() + " holds the backend '" +
                               std::string(known->second->name()) + "', not '" + std::string(name) +
                               "': the file was renamed");
  }
  return known->second;
}

}  // namespace

BackendRegistry::BackendRegistry(std::vector<std::string> directories)
    : directories_(std::move(directories)) {
  std::erase_if(directories_, [](const std::string& directory) { return directory.empty(); });
}

Result<Backend*> BackendRegistry::open(std::string_view name) noexcept {
  try {
    if (!is_backend_name(name)) {
      return invalid_argument("'" + std::string(name) +
                              "' is not a backend name: use only a-z, 0-9 and _");
    }
    const std::string file = std::string(kPrefix).append(name).append(kSuffix);
    for (const std::string& directory : directories_) {
      const fs::path path = fs::path(directory) / file;
      std::error_code ignored;  // a folder that cannot be read holds no library for us
      if (fs::exists(path, ignored)) return open_once(path, name);
    }
    return not_found("no backend '" + std::string(name) + "': no " + file + " in " +
                     joined(directories_) + " (available: " + joined(available()) + ")");
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

std::vector<std::string> BackendRegistry::available() const {
  std::set<std::string> names;
  for (const std::string& directory : directories_) {
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const std::string file = entries->path().filename().string();
      if (!file.starts_with(kPrefix) || !file.ends_with(kSuffix)) continue;
      if (file.size() <= kPrefix.size() + kSuffix.size()) continue;
      std::string name = file.substr(kPrefix.size(), file.size() - kPrefix.size() - kSuffix.size());
      if (is_backend_name(name)) names.insert(std::move(name));
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace slipstream
