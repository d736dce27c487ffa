// The forest backend: tree ensembles and the steps around them, exact to the library they come
// from.
//
// Where to read on: docs/forest-format.md (what is loaded), mapped_file, file and program (reading
// it), steps/ (what a program can do) and trees/ (how trees are run), layout and plan (what is kept
// where, what is skipped), workspace and instance (running it), core/helper_pool (large batches).
#include "core/backend.h"

#include <exception>
#include <new>

#include "backends/forest/model.h"

namespace slipstream::forest {
namespace {

class ForestBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "forest"; }
  // All of it is slipstream's own.
  [[nodiscard]] std::string version() const noexcept override { return {}; }

  [[nodiscard]] Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept override {
    try {
      return ForestModel::load(config);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("forest backend: out of memory while loading a model");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }
};

}  // namespace
}  // namespace slipstream::forest

SLIPSTREAM_DEFINE_BACKEND(slipstream::forest::ForestBackend)
