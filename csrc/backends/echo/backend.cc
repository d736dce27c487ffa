// The echo backend: answers every input as the output of the same position.
//
// It is the template for new backends. Copy the folder, keep its files:
//   backend.cc    the Backend: a name, a version, load(); the one exported symbol
//   options.*     ModelConfig::options, parsed and checked into a struct
//   model.*       the Model: its spec, and a factory of instances
//   instance.*    the Instance: execute()
// and give it a row in tests/cpp/conformance/CMakeLists.txt. It is also the core's test double; its
// options (options.h) make it slow, or make it fail, on demand.
#include "core/backend.h"

#include <new>

#include "backends/echo/model.h"

namespace slipstream::echo {
namespace {

class EchoBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "echo"; }
  [[nodiscard]] std::string version() const noexcept override { return {}; }  // no runtime behind

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    // The rule "no exception leaves a backend" is kept here, at the seam, once per entry point;
    // everything below may simply throw std::bad_alloc.
    try {
      return load_echo_model(config);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("out of memory");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }
};

}  // namespace
}  // namespace slipstream::echo

SLIPSTREAM_DEFINE_BACKEND(slipstream::echo::EchoBackend)
