// TensorRtOptions: how a plan is loaded. What an operator may set, and what it defaults to:
//
//   device        cuda:N, the GPU that it was built for (default cuda:0)
//   slots         batches on their way through the device at once, 1 to 16 (default 3, pipeline.h)
//   profile       number of the plan's optimization profile that is used (default 0)
//   library_path  libnvinfer.so.N or libnvinfer_lean.so.N; without it the first of these that the
//                 system finds by its name
//   batchable     auto (default, see face.h), true or false
//   host_code     true: plans may bring code for the host, as version compatible ones do; false
//                 (default)
//   cuda_graph    false, the only value yet
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <cstddef>
#include <string>

#include "core/backend.h"

namespace slipstream::tensorrt {

enum class Batchable { kAuto, kYes, kNo };

struct TensorRtOptions {
  int device = 0;
  std::size_t slots = 3;
  int profile = 0;
  std::string library_path;
  Batchable batchable = Batchable::kAuto;
  bool host_code = false;

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<TensorRtOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::tensorrt
