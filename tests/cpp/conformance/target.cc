#include "conformance/target.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "core/backend_loader.h"

namespace slipstream::conformance {
namespace {

constexpr std::string_view kOptionPrefix = "CONFORMANCE_OPTION_";

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

Target read_target() {
  Target target;
  target.backend = variable("CONFORMANCE_BACKEND");
  if (target.backend.empty()) {
    throw std::runtime_error(
        "CONFORMANCE_BACKEND is not set: run the suite by ctest, or see "
        "tests/cpp/conformance/target.h");
  }
  target.config.path = variable("CONFORMANCE_MODEL");
  target.reference_path = variable("CONFORMANCE_REFERENCE");
  if (const std::string text = variable("CONFORMANCE_BATCHABLE"); !text.empty()) {
    target.batchable = text == "true";
  }
  if (const std::string text = variable("CONFORMANCE_DYNAMIC_DIM"); !text.empty()) {
    target.dynamic_dim = std::stoll(text);
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text(*entry);
    if (!text.starts_with(kOptionPrefix)) continue;
    text.remove_prefix(kOptionPrefix.size());
    const std::size_t equals = text.find('=');
    target.config.options.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return target;
}

template <class T>
T value_or_throw(Result<T> result, const std::string& what) {
  if (!result.is_ok()) throw std::runtime_error(what + ": " + result.status().message());
  return std::move(result).value();
}

}  // namespace

const Target& target() {
  static const Target instance = read_target();
  return instance;
}

Backend& backend() {
  const std::string folder = variable("CONFORMANCE_FOLDER");  // of the backends
  static BackendRegistry registry({folder.empty() ? SLIPSTREAM_BACKEND_DIR : folder});
  return *value_or_throw(registry.open(target().backend), "the backend does not open");
}

std::unique_ptr<Model> load_model() {
  return value_or_throw(backend().load(target().config), "the model does not load");
}

std::unique_ptr<Instance> create_instance(Model& model) {
  return value_or_throw(model.create_instance(), "no instance");
}

}  // namespace slipstream::conformance
