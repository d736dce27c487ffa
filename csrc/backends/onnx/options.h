// OnnxOptions: how a model is loaded. What an operator may set, and what it defaults to:
//
//   library_path              required: the libonnxruntime.so* of the installed wheel
//   intra_op_threads          threads one operator may use, 1 to 256 (default 1: parallelism comes
//                             from instances, and a call that stays on its thread starts no other)
//   inter_op_threads          threads for independent operators, used with execution_mode=parallel
//   execution_mode            sequential (default) or parallel
//   graph_optimization_level  disabled, basic, extended or all (default)
//   device                    cpu, cuda:N, or several of those with commas, which instances are
//                             spread over (default: what the providers compute on)
//   providers                 execution providers, best first, separated by commas: cpu, cuda,
//                             tensorrt, or what provider_library calls its own (default: that of
//                             the device)
//   provider_options          what the first provider is told, KEY=VALUE separated by commas, in
//                             its own words (ONNX Runtime documents them)
//   provider_library          a library that has providers of its own (ONNX Runtime 1.22 and
//                             later); on a GPU every run of theirs is waited for
//   batchable                 auto (default, see model_spec.h), true or false
//   allow_spinning            true: idle pool threads spin, which saves a wake-up and costs a core;
//                             false (default) leaves the cores to other instances
// and on a GPU:
//   slots                     batches on the device at once, 1 to 8 (default 3)
//   graph_rows                0 (default): ONNX Runtime's launches are not to be recorded as CUDA
//                             graphs, and any other number is refused (see options.cc)
//   memory_limit_mb           the most that the model's arena takes (default 0: no limit); with the
//                             tensorrt provider what an engine works in, not its weights
//   cache_folder              where the tensorrt provider keeps its engines and timings; without
//                             one it builds them at every load
//   precision                 of the tensorrt provider: as_is (default), float16 or int8
//   max_rows                  the most rows of a batch that it builds engines for (default 64); no
//                             batch has more where it does
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/onnx/ort_abi.h"
#include "core/backend.h"

namespace slipstream::onnx {

enum class Batchable { kAuto, kYes, kNo };

enum class Precision { kAsIs, kFloat16, kInt8 };

// What only matters on a GPU.
struct GpuOptions {
  std::vector<int> devices{0};  // instances are spread over them
  std::size_t slots = 3;
  std::size_t memory_limit_bytes = 0;
  std::string cache_folder;
  Precision precision = Precision::kAsIs;
  std::int64_t max_rows = 64;
};

struct OnnxOptions {
  std::string library_path;
  int intra_op_threads = 1;
  int inter_op_threads = 1;
  ExecutionOrder execution_mode = kSequential;
  GraphOptimization graph_optimization = kOptimizeAll;
  std::vector<std::string> providers;
  std::map<std::string, std::string> provider_options;  // of the first
  std::string provider_library;
  std::optional<GpuOptions> gpu;  // none: on the CPU
  Batchable batchable = Batchable::kAuto;
  bool allow_spinning = false;

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<OnnxOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::onnx
