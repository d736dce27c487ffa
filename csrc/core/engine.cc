#include "core/engine.h"

#include <utility>

namespace slipstream {

Engine::Engine(EngineConfig config)
    : backends_(std::move(config.backend_directories)),
      pool_(config.max_in_flight),
      timer_(pool_) {}

Result<std::shared_ptr<ServedModel>> Engine::load(std::string_view backend,
                                                  const ModelConfig& config, ServeOptions options) {
  Result<Backend*> opened = backends_.open(backend);
  if (!opened.is_ok()) return opened.status();
  Result<std::unique_ptr<Model>> model = opened.value()->load(config);
  if (!model.is_ok()) return model.status();
  return ServedModel::create(pool_, timer_, std::move(model).value(), std::move(options));
}

}  // namespace slipstream
