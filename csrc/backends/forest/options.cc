#include "backends/forest/options.h"

#include <string>

#include "core/helper_pool.h"
#include "core/option_reader.h"

namespace slipstream::forest {

Result<ForestOptions> ForestOptions::parse(const ModelConfig& config) {
  OptionReader reader("forest", config.options);
  ForestOptions options;
  options.trees.algorithm = reader.text("algorithm").value_or(options.trees.algorithm);
  const auto cores = static_cast<std::int64_t>(available_cores());
  options.threads = static_cast<std::size_t>(
      reader.integer("threads", cores, 1, static_cast<std::int64_t>(kMaxCores)));
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::forest
