// OnnxInstance: one caller of the model's session, with the arrays that a call needs kept warm.
//
// Outputs are the memory ONNX Runtime allocated, not copies (Execution::memory is used for string
// outputs and bookkeeping only). They may outlive the instance, the model and the session.
// Threads: one at a time per instance; several instances run at once. Ownership: refers to its
// model. Failure: kInvalidArgument where the inputs do not fit the model, kInternal where the model
// fails on them or gives a batch another number of rows than it got; the instance stays usable.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/onnx/model.h"
#include "backends/onnx/ort_status.h"
#include "core/backend.h"

namespace slipstream::onnx {

class OnnxInstance final : public Instance {
 public:
  // Throws std::bad_alloc.
  [[nodiscard]] static Result<std::unique_ptr<Instance>> create(const OnnxModel& model);

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;

 private:
  OnnxInstance(const OnnxModel& model, Owned<OrtRunOptions> run_options);

  // Each may throw std::bad_alloc; release_values() then cleans up.
  [[nodiscard]] Status run(const Execution& execution, std::vector<Tensor>& outputs);
  [[nodiscard]] Status wrap_inputs(std::span<const Tensor> inputs);
  [[nodiscard]] Status take_outputs(const Execution& execution, std::vector<Tensor>& outputs);
  void select_outputs(const Execution& execution);
  void release_values() noexcept;

  const OnnxModel& model_;
  const Runtime& runtime_;
  Owned<OrtRunOptions> run_options_;
  std::vector<const char*> input_names_;
  // The wanted outputs, kept from call to call while outputs_wanted stays the same.
  std::vector<const char*> output_names_;
  std::vector<std::size_t> output_indices_;
  std::uint64_t outputs_wanted_ = 0;
  bool selected_ = false;
  // Of the call in progress; null outside a call.
  std::vector<OrtValue*> input_values_;
  std::vector<OrtValue*> output_values_;
};

}  // namespace slipstream::onnx
