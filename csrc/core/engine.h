// Engine: what all served models share (the slab of requests, the deadline timer, the backends) and
// the way to load a model. The core's front door.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend_loader.h"
#include "core/deadline_timer.h"
#include "core/request_pool.h"
#include "core/served_model.h"

namespace slipstream {

struct EngineConfig {
  std::vector<std::string> backend_directories;
  std::uint32_t max_in_flight = 8192;  // requests held at once, over all models
};

// Thread-safe. Must outlive every ServedModel it made (the bindings keep it alive by them).
class Engine {
 public:
  explicit Engine(EngineConfig config);

  // Opens the backend if need be, loads the artifact and starts its instances. Blocks; may be
  // called from several threads at once.
  [[nodiscard]] Result<std::shared_ptr<ServedModel>> load(std::string_view backend,
                                                          const ModelConfig& config,
                                                          ServeOptions options);

  [[nodiscard]] BackendRegistry& backends() noexcept { return backends_; }
  [[nodiscard]] const RequestPool& pool() const noexcept { return pool_; }

 private:
  BackendRegistry backends_;
  RequestPool pool_;
  DeadlineTimer timer_;  // after pool_: it scans the pool until it is joined
};

}  // namespace slipstream
