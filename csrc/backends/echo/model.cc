#include "backends/echo/model.h"

#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "backends/echo/instance.h"

namespace slipstream::echo {
namespace {

constexpr std::int64_t kAnySize = -1;

TensorSpec tensor_spec(const EchoOptions& options, std::string_view kind, std::int64_t index) {
  TensorSpec spec;
  spec.name = std::string(kind) + std::to_string(index);
  spec.dtype = options.dtype;
  spec.dims = {kAnySize};
  spec.dims.insert(spec.dims.end(), options.row_shape.begin(), options.row_shape.end());
  return spec;
}

}  // namespace

EchoModel::EchoModel(EchoOptions options) : options_(std::move(options)) {
  for (std::int64_t i = 0; i < options_.inputs; ++i) {
    spec_.inputs.push_back(tensor_spec(options_, "input", i));
    spec_.outputs.push_back(tensor_spec(options_, "output", i));
  }
  spec_.batchable = options_.batchable;
}

Result<std::unique_ptr<Instance>> EchoModel::create_instance() noexcept {
  std::unique_ptr<Instance> instance(new (std::nothrow) EchoInstance(*this));
  if (!instance) return resource_exhausted("out of memory");
  return instance;
}

bool EchoModel::next_execute_fails() noexcept {
  if (options_.fail_every == 0) return false;
  return (executes_.fetch_add(1) + 1) % options_.fail_every == 0;
}

Result<std::unique_ptr<Model>> load_echo_model(const ModelConfig& config) {
  // Echo needs no artifact. A path that is given must exist all the same, so that tests of loading
  // see what a real backend would say.
  std::error_code ignored;
  if (!config.path.empty() && !std::filesystem::exists(config.path, ignored)) {
    return not_found("echo backend: no file at " + config.path);
  }
  Result<EchoOptions> options = EchoOptions::parse(config);
  if (!options.is_ok()) return options.status();
  return std::unique_ptr<Model>(new EchoModel(std::move(options).value()));
}

}  // namespace slipstream::echo
