// The process backend: Python models that cannot be converted run in supervised child processes.
//
// One child per Instance, over shared memory: no interpreter in the server, and a model that
// crashes, hangs or leaks takes down its child only. The child runs `python -m slipstream.worker`.
// Where to read on: options.h (what it is told), protocol.h (what the two say to each other),
// instance.h (who watches over the child), python/slipstream/worker/runner.py (the model's side).
#include "core/backend.h"

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "backends/process/model.h"

namespace slipstream::process {
namespace {

class ProcessBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "process"; }
  // Every model brings its own interpreter and libraries.
  [[nodiscard]] std::string version() const noexcept override { return {}; }

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    try {
      return ProcessModel::load(config);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("out of memory while starting a worker process");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }
};

}  // namespace
}  // namespace slipstream::process

SLIPSTREAM_DEFINE_BACKEND(slipstream::process::ProcessBackend)
