#include "backends/onnx/options.h"

#include <string_view>

#include "core/option_reader.h"

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
  if (const auto providers = reader.text("providers")) {
    options.providers = split_at_commas(*providers);
  }
  options.batchable = reader.choice(
      "batchable", options.batchable,
      {{"auto", Batchable::kAuto}, {"true", Batchable::kYes}, {"false", Batchable::kNo}});
  options.allow_spinning = reader.boolean("allow_spinning", options.allow_spinning);
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::onnx
