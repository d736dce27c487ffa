#include "backends/onnx/options.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/option_reader.h"
#include "device/graphed_computation.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::onnx {
namespace {

constexpr std::int64_t kMaxThreads = 256;

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

// Recorded from outside, a run carries what ONNX Runtime does once its launches are through:
// buffers of the host are given back, and would be again by every replay. Its own graphs are
// recorded in the mode that forbids calls to CUDA on all threads, those of other models too, and
// belong to the thread that recorded them, where here any thread may execute.
constexpr std::string_view kNoGraphs =
    "0: what ONNX Runtime launches cannot be recorded as CUDA graphs while other threads use a GPU";

GpuOptions read_gpu(OptionReader& reader, std::vector<int> devices) {
  GpuOptions gpu;
  gpu.devices = std::move(devices);
  gpu.slots = static_cast<std::size_t>(reader.integer("slots", 3, 1, device::kMostSlots));
  const std::int64_t graph_rows = reader.integer("graph_rows", 0, 0, device::kMostGraphRows);
  if (graph_rows > 0) reader.reject("graph_rows", std::to_string(graph_rows), kNoGraphs);
  gpu.memory_limit_bytes =
      static_cast<std::size_t>(reader.integer("memory_limit_mb", 0, 0, 1 << 20)) << 20U;
  gpu.cache_folder = reader.text("cache_folder").value_or("");
  gpu.precision = reader.choice(
      "precision", gpu.precision,
      {{"as_is", Precision::kAsIs}, {"float16", Precision::kFloat16}, {"int8", Precision::kInt8}});
  gpu.max_rows = reader.integer("max_rows", gpu.max_rows, 1, 65'536);
  return gpu;
}

void read_device(OptionReader& reader, OnnxOptions& options) {
  const std::optional<std::string> providers = reader.text("providers");
  if (providers) options.providers = split_at_commas(*providers);
  const bool is_nvidias = std::ranges::any_of(options.providers, [](const std::string& each) {
    return each == "cuda" || each == "tensorrt";
  });
  const std::string name = reader.text("device").value_or(is_nvidias ? "cuda:0" : "cpu");
  std::optional<std::vector<int>> devices = device::parse_devices(name);
  if (!devices) reader.reject("device", name, "cpu, cuda:N, or several of those with commas");
  if (devices && !devices->empty()) options.gpu = read_gpu(reader, *std::move(devices));
  if (!providers) options.providers = {options.gpu ? "cuda" : "cpu"};
  options.provider_library = reader.text("provider_library").value_or("");
  const std::string told = reader.text("provider_options").value_or("");
  if (told.empty()) return;
  for (const std::string& each : split_at_commas(told)) {
    const std::size_t equals = each.find('=');
    if (equals == 0 || equals == std::string::npos) {
      reader.reject("provider_options", each, "KEY=VALUE, separated by commas");
      return;
    }
    options.provider_options[each.substr(0, equals)] = each.substr(equals + 1);
  }
}

}  // namespace

Result<OnnxOptions> OnnxOptions::parse(const ModelConfig& config) {
  OptionReader reader("onnx", config.options);
  OnnxOptions options;
  options.library_path = reader.required_text(
      "library_path", "pass the libonnxruntime.so of an installed onnxruntime package");
  options.intra_op_threads = static_cast<int>(
      reader.integer("intra_op_threads", options.intra_op_threads, 1, kMaxThreads));
  options.inter_op_threads = static_cast<int>(
      reader.integer("inter_op_threads", options.inter_op_threads, 1, kMaxThreads));
  options.execution_mode = reader.choice("execution_mode", options.execution_mode,
                                         {{"sequential", kSequential}, {"parallel", kParallel}});
  options.graph_optimization = reader.choice("graph_optimization_level", options.graph_optimization,
                                             {{"disabled", kOptimizeNothing},
                                              {"basic", kOptimizeBasic},
                                              {"extended", kOptimizeExtended},
                                              {"all", kOptimizeAll}});
  read_device(reader, options);
  options.batchable = reader.choice(
      "batchable", options.batchable,
      {{"auto", Batchable::kAuto}, {"true", Batchable::kYes}, {"false", Batchable::kNo}});
  options.allow_spinning = reader.boolean("allow_spinning", options.allow_spinning);
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::onnx
