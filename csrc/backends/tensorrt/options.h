// TensorRtOptions: how a plan is loaded. What an operator may set, and what it defaults to:
//
//   device        cuda:N, the GPU that it was built for, or several alike with commas, which
//                 instances are spread over (default cuda:0)
//   slots         batches on the device at once, 1 to 8 (default 3, pipeline.h)
//   profile       number of the plan's optimization profile that is used (default 0)
//   library_path  libnvinfer.so.N or libnvinfer_lean.so.N; without it the first of these that the
//                 system finds by its name
//   batchable     auto (default, see face.h), true or false
//   host_code     true: plans may bring code for the host, as version compatible ones do; false
//                 (default)
//   graph_rows    batches of up to so many rows are recorded as CUDA graphs where the plan can be,
//                 and takes single rows; each has an execution context of its own (default 0: none)
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/backend.h"

namespace slipstream::tensorrt {

enum class Batchable { kAuto, kYes, kNo };

struct TensorRtOptions {
  std::vector<int> devices{0};
  std::size_t slots = 3;
  int profile = 0;
  std::string library_path;
  Batchable batchable = Batchable::kAuto;
  bool host_code = false;
  std::int64_t graph_rows = 0;

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<TensorRtOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::tensorrt
