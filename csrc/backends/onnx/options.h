// OnnxOptions: how a model is loaded. What an operator may set, and what it defaults to:
//
//   library_path              required: the libonnxruntime.so* of the installed wheel
//   intra_op_threads          threads one operator may use, 1 to 256 (default 1: parallelism comes
//                             from instances, and a call that stays on its thread starts no other)
//   inter_op_threads          threads for independent operators, used with execution_mode=parallel
//   execution_mode            sequential (default) or parallel
//   graph_optimization_level  disabled, basic, extended or all (default)
//   providers                 execution providers, best first, separated by commas (default cpu)
//   batchable                 auto (default, see model_spec.h), true or false
//   allow_spinning            true: idle pool threads spin, which saves a wake-up and costs a core;
//                             false (default) leaves the cores to other instances
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <string>
#include <vector>

#include "backends/onnx/ort_abi.h"
#include "core/backend.h"

namespace slipstream::onnx {

enum class Batchable { kAuto, kYes, kNo };

struct OnnxOptions {
  std::string library_path;
  int intra_op_threads = 1;
  int inter_op_threads = 1;
  ExecutionOrder execution_mode = kSequential;
  GraphOptimization graph_optimization = kOptimizeAll;
  std::vector<std::string> providers{"cpu"};
  Batchable batchable = Batchable::kAuto;
  bool allow_spinning = false;

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<OnnxOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::onnx
