#include "backends/onnx/provider_words.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace slipstream::onnx {
namespace {

constexpr const char* kLeast = "trt_profile_min_shapes";
constexpr const char* kUsual = "trt_profile_opt_shapes";
constexpr const char* kMost = "trt_profile_max_shapes";

// Where both compute. No operator says otherwise: the memory and the stream that they work with are
// of that device, and what they compute is ordered by that stream.
void set_place(const ProviderContext& context, Words& words) {
  words["device_id"] = std::to_string(context.ordinal);
  words["has_user_compute_stream"] = "1";
  words["user_compute_stream"] =
      std::to_string(reinterpret_cast<std::uintptr_t>(context.compute_stream));
}

// "x:8x3x224x224,mask:8x16" for the model's inputs, with `rows` for -1 in the first dimension;
// empty where another dimension is not known either.
std::string profile(const ModelSpec& spec, std::int64_t rows) {
  std::string text;
  for (const TensorSpec& input : spec.inputs) {
    if (!text.empty()) text += ',';
    text += input.name + ':';
    for (std::size_t axis = 0; axis < input.dims.size(); ++axis) {
      const std::int64_t dim = input.dims[axis];
      if (dim < 0 && axis > 0) return {};
      if (axis > 0) text += 'x';
      text += std::to_string(dim < 0 ? rows : dim);
    }
  }
  return text;
}

bool tell_profiles(const Words& told) {
  return std::ranges::any_of(std::array{kLeast, kUsual, kMost},
                             [&told](const char* key) { return told.contains(key); });
}

}  // namespace

Words cuda_words(const ProviderContext& context, Words told) {
  const GpuOptions& gpu = *context.options.gpu;
  Words words = std::move(told);
  set_place(context, words);
  // The arena grows by what is asked for: by doubling, half of a GPU would be one model's.
  words.emplace("arena_extend_strategy", "kSameAsRequested");
  // Every new shape has its convolutions planned again. Trying all algorithms, ONNX Runtime's
  // default, takes longer then than many batches.
  words.emplace("cudnn_conv_algo_search", "HEURISTIC");
  if (gpu.memory_limit_bytes > 0) {
    words.emplace("gpu_mem_limit", std::to_string(gpu.memory_limit_bytes));
  }
  return words;
}

Words tensorrt_words(const ProviderContext& context, Words told) {
  const GpuOptions& gpu = *context.options.gpu;
  Words words = std::move(told);
  set_place(context, words);
  if (gpu.precision == Precision::kFloat16) words.emplace("trt_fp16_enable", "1");
  if (gpu.precision == Precision::kInt8) words.emplace("trt_int8_enable", "1");
  // What an engine works in. What its weights take is not to be limited.
  if (gpu.memory_limit_bytes > 0) {
    words.emplace("trt_max_workspace_size", std::to_string(gpu.memory_limit_bytes));
  }
  if (!gpu.cache_folder.empty()) {
    words.emplace("trt_engine_cache_enable", "1");
    words.emplace("trt_engine_cache_path", gpu.cache_folder);
    words.emplace("trt_timing_cache_enable", "1");
    words.emplace("trt_timing_cache_path", gpu.cache_folder);
  }
  // One engine for every number of rows, instead of one more whenever a larger batch comes by.
  const std::string most =
      context.spec != nullptr && context.spec->batchable && !tell_profiles(words)
          ? profile(*context.spec, gpu.max_rows)
          : std::string();
  if (!most.empty()) {
    words.emplace(kLeast, profile(*context.spec, 1));
    words.emplace(kUsual, most);
    words.emplace(kMost, most);
  }
  return words;
}

std::int64_t most_rows(const OnnxOptions& options, const ModelSpec& spec) {
  const auto found = std::ranges::find(options.providers, "tensorrt");
  if (!options.gpu || found == options.providers.end() || !spec.batchable) return 0;
  const bool is_told =
      found == options.providers.begin() && tell_profiles(options.provider_options);
  return is_told || profile(spec, 1).empty() ? 0 : options.gpu->max_rows;
}

}  // namespace slipstream::onnx
