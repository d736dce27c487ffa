// OnnxGpuModel: an ONNX file on one or several GPUs. Every instance has a session of its own, on a
// stream of its own, in a pipeline of its own (csrc/device).
//
// Threads: any; immutable after load, but for the session that the first instance takes over.
// Ownership: instances are destroyed before the model, tensors they returned may outlive it.
// Failure: as load_onnx_model, and kFailedPrecondition without a usable GPU, kResourceExhausted
// where it has no memory.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/onnx/computation.h"
#include "backends/onnx/gpu_target.h"
#include "backends/onnx/options.h"
#include "backends/onnx/ort_runtime.h"
#include "core/backend.h"
#include "device/places.h"

namespace slipstream::onnx {

class OnnxGpuModel final : public Model {
 public:
  OnnxGpuModel(const Runtime& runtime, OnnxOptions options, std::string path,
               std::vector<GpuTarget> targets, bool may_loop);

  // Makes the computation of the instance that is created first: whether the model can run, and
  // what it is. Once, before anything else.
  [[nodiscard]] Status try_out();

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  [[nodiscard]] bool may_run_inline() const noexcept override { return !may_loop_; }

 private:
  [[nodiscard]] Result<std::unique_ptr<Instance>> create();
  [[nodiscard]] Result<std::unique_ptr<OnnxComputation>> make_computation();

  const Runtime& runtime_;
  const OnnxOptions options_;
  const std::string path_;
  const std::vector<GpuTarget> targets_;
  ModelSpec spec_;  // from try_out() on
  const bool may_loop_;
  device::Places places_;
  std::mutex mutex_;
  std::unique_ptr<OnnxComputation> first_;  // with the mutex; null once it is taken
};

// Throws std::bad_alloc.
[[nodiscard]] Result<std::unique_ptr<Model>> load_gpu_model(const Runtime& runtime,
                                                            const OnnxOptions& options,
                                                            const std::string& path);

}  // namespace slipstream::onnx
