#include "backends/tensorrt/options.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "core/option_reader.h"
#include "device/graphed_computation.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::tensorrt {
namespace {

constexpr std::int64_t kMaxProfiles = 1024;

}  // namespace

Result<TensorRtOptions> TensorRtOptions::parse(const ModelConfig& config) {
  OptionReader reader("tensorrt", config.options);
  TensorRtOptions options;
  if (const auto text = reader.text("device")) {
    std::optional<std::vector<int>> devices = device::parse_devices(*text);
    if (!devices || devices->empty()) {
      reader.reject("device", *text, "cuda:N, or several of those with commas");
    } else {
      options.devices = *std::move(devices);
    }
  }
  options.slots = static_cast<std::size_t>(reader.integer("slots", 3, 1, device::kMostSlots));
  options.profile = static_cast<int>(reader.integer("profile", 0, 0, kMaxProfiles - 1));
  options.library_path = reader.text("library_path").value_or("");
  options.batchable = reader.choice(
      "batchable", options.batchable,
      {{"auto", Batchable::kAuto}, {"true", Batchable::kYes}, {"false", Batchable::kNo}});
  options.host_code = reader.boolean("host_code", options.host_code);
  options.graph_rows = reader.integer("graph_rows", options.graph_rows, 0, device::kMostGraphRows);
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::tensorrt
