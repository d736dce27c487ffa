// What NVIDIA's providers are told: ours, an operator's own instead of it, and what is no
// operator's.
#include <cstdint>
#include <string>

#include "backends/onnx/provider_words.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::onnx;

namespace {

OnnxOptions on_gpu(std::vector<std::string> providers) {
  OnnxOptions options;
  options.providers = std::move(providers);
  options.gpu.emplace();
  return options;
}

ModelSpec images() {
  ModelSpec spec;
  spec.inputs = {{.name = "x", .dtype = DType::kFloat32, .dims = {-1, 3, 8, 8}},
                 {.name = "mask", .dtype = DType::kFloat32, .dims = {-1}}};
  spec.batchable = true;
  return spec;
}

struct Told {
  explicit Told(OnnxOptions given, const ModelSpec* spec = nullptr)
      : options(std::move(given)),
        context{.runtime = runtime,
                .options = options,
                .ordinal = 3,
                .compute_stream = reinterpret_cast<void*>(std::uintptr_t{4096}),
                .spec = spec} {}

  const Runtime runtime{};
  const OnnxOptions options;
  const ProviderContext context;
};

}  // namespace

TEST(both_compute_where_the_stream_is) {
  const Told told(on_gpu({"tensorrt", "cuda"}));
  const Words asked{{"device_id", "0"},
                    {"has_user_compute_stream", "0"},
                    {"user_compute_stream", "1"},
                    {"some", "thing"}};
  for (const Words& words :
       {cuda_words(told.context, asked), tensorrt_words(told.context, asked)}) {
    CHECK_EQ(words.at("device_id"), "3");
    CHECK_EQ(words.at("has_user_compute_stream"), "1");
    CHECK_EQ(words.at("user_compute_stream"), "4096");
    CHECK_EQ(words.at("some"), "thing");
  }
}

TEST(convolutions_are_planned_by_rule_unless_an_operator_wants_them_tried) {
  const Told told(on_gpu({"cuda"}));
  CHECK_EQ(cuda_words(told.context, {}).at("cudnn_conv_algo_search"), "HEURISTIC");
  const Words tried = cuda_words(told.context, {{"cudnn_conv_algo_search", "EXHAUSTIVE"}});
  CHECK_EQ(tried.at("cudnn_conv_algo_search"), "EXHAUSTIVE");
}

TEST(a_memory_limit_is_for_both) {
  OnnxOptions options = on_gpu({"tensorrt", "cuda"});
  CHECK(!cuda_words(Told(options).context, {}).contains("gpu_mem_limit"));
  CHECK(!tensorrt_words(Told(options).context, {}).contains("trt_max_workspace_size"));
  options.gpu->memory_limit_bytes = 1U << 20U;
  const Told told(options);
  CHECK_EQ(cuda_words(told.context, {}).at("gpu_mem_limit"), "1048576");
  CHECK_EQ(tensorrt_words(told.context, {}).at("trt_max_workspace_size"), "1048576");
}

TEST(engines_are_for_so_many_rows_and_batches_have_no_more) {
  const ModelSpec spec = images();
  OnnxOptions options = on_gpu({"tensorrt", "cuda"});
  options.gpu->max_rows = 16;
  const Words words = tensorrt_words(Told(options, &spec).context, {});
  CHECK_EQ(words.at("trt_profile_min_shapes"), "x:1x3x8x8,mask:1");
  CHECK_EQ(words.at("trt_profile_opt_shapes"), "x:16x3x8x8,mask:16");
  CHECK_EQ(words.at("trt_profile_max_shapes"), "x:16x3x8x8,mask:16");
  CHECK_EQ(most_rows(options, spec), 16);
}

TEST(without_profiles_of_ours_batches_have_any_number_of_rows) {
  ModelSpec spec = images();
  CHECK_EQ(most_rows(on_gpu({"cuda"}), spec), 0);
  OnnxOptions options = on_gpu({"tensorrt", "cuda"});
  options.provider_options = {{"trt_profile_max_shapes", "x:4x3x8x8,mask:4"}};
  CHECK_EQ(most_rows(options, spec), 0);
  const Words words = tensorrt_words(Told(options, &spec).context, options.provider_options);
  CHECK(!words.contains("trt_profile_min_shapes"));  // the three are of one piece
  options.providers = {"cuda", "tensorrt"};          // those words are for the first only
  CHECK_EQ(most_rows(options, spec), 64);
  spec.inputs[1].dims = {-1, -1};
  CHECK_EQ(most_rows(options, spec), 0);
  CHECK(!tensorrt_words(Told(options, &spec).context, {}).contains("trt_profile_max_shapes"));
  spec = images();
  spec.batchable = false;
  CHECK_EQ(most_rows(options, spec), 0);
}
