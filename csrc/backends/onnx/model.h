// OnnxModel: one OrtSession, shared by all instances.
//
// A session is the expensive thing: weights, pre-packed weights, the optimised graph. On the CPU
// its Run may be called from several threads at once, so instances share it and add only what a
// call needs. They also share its thread pool: with intra_op_threads above 1 the threads are per
// model, not per instance. (A provider with a stream per session would want a session each.)
// Threads: any; immutable after load. Ownership: instances are destroyed before the model, tensors
// they returned may outlive it. Failure: see load_onnx_model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnx/ort_runtime.h"
#include "backends/onnx/ort_status.h"
#include "core/backend.h"

namespace slipstream::onnx {

class OnnxModel final : public Model {
 public:
  OnnxModel(const Runtime& runtime, Owned<OrtSession> session, ModelSpec spec, bool may_loop);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  // What was learned about a loop does not say how long it goes on for other values.
  [[nodiscard]] bool may_run_inline() const noexcept override { return !may_loop_; }

  [[nodiscard]] const Runtime& runtime() const noexcept { return runtime_; }
  // Run takes a session by non-const pointer; that it may be shared is its documented contract.
  [[nodiscard]] OrtSession* session() const noexcept { return session_.get(); }

 private:
  const Runtime& runtime_;
  Owned<OrtSession> session_;
  ModelSpec spec_;
  const bool may_loop_;
};

// Throws std::bad_alloc.
//   kInvalidArgument     a bad option; a file that is no model this library can run; an input or
//                        output that is no tensor
//   kNotFound            no model file, or no ONNX Runtime library, at the path given
//   kFailedPrecondition  the library cannot be used, or a provider cannot run here
[[nodiscard]] Result<std::unique_ptr<Model>> load_onnx_model(const ModelConfig& config);

}  // namespace slipstream::onnx
