#include "backends/tensorrt/options.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/option_reader.h"

namespace slipstream::tensorrt {
namespace {

constexpr std::int64_t kMaxSlots = 16;
constexpr std::int64_t kMaxProfiles = 1024;
constexpr int kMaxDevices = 1024;
constexpr std::string_view kCuda = "cuda:";

// "cuda:1" -> 1.
std::optional<int> device_number(std::string_view text) {
  if (!text.starts_with(kCuda)) return std::nullopt;
  text.remove_prefix(kCuda.size());
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number < 0 || number >= kMaxDevices) return std::nullopt;
  return number;
}

}  // namespace

Result<TensorRtOptions> TensorRtOptions::parse(const ModelConfig& config) {
  OptionReader reader("tensorrt", config.options);
  TensorRtOptions options;
  if (const auto text = reader.text("device")) {
    const std::optional<int> number = device_number(*text);
    if (!number) reader.reject("device", *text, "a GPU, such as cuda:0");
    options.device = number.value_or(options.device);
  }
  options.slots = static_cast<std::size_t>(reader.integer("slots", 3, 1, kMaxSlots));
  options.profile = static_cast<int>(reader.integer("profile", 0, 0, kMaxProfiles - 1));
  options.library_path = reader.text("library_path").value_or("");
  options.batchable = reader.choice(
      "batchable", options.batchable,
      {{"auto", Batchable::kAuto}, {"true", Batchable::kYes}, {"false", Batchable::kNo}});
  options.host_code = reader.boolean("host_code", options.host_code);
  if (reader.boolean("cuda_graph", false)) {
    reader.reject("cuda_graph", "true", "false: executions are not captured as graphs yet");
  }
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::tensorrt
