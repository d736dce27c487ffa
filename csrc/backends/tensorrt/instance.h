// TensorRtInstance: a DeviceInstance that looks at what execute() is given before it goes on.
//
// begin() is the core's, which has checked its requests against the spec; execute() is anybody's,
// and the pipeline copies what it gets without a look.
// Threads, failure: as core/backend.h says. Ownership: owns the instance behind it, refers to the
// model's spec, which outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace slipstream::tensorrt {

class TensorRtInstance final : public PipelinedInstance {
 public:
  // `inner` is a pipelined one.
  TensorRtInstance(std::unique_ptr<Instance> inner, const ModelSpec& spec)
      : inner_(std::move(inner)), spec_(spec) {}

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;
  [[nodiscard]] std::uint64_t restarts() const noexcept override { return inner_->restarts(); }
  [[nodiscard]] std::size_t depth() const noexcept override { return inner_->pipelined()->depth(); }
  void begin(const Launch& launch) noexcept override { inner_->pipelined()->begin(launch); }
  [[nodiscard]] bool poll(Status& status, std::vector<Tensor>& outputs) noexcept override {
    return inner_->pipelined()->poll(status, outputs);
  }

 private:
  const std::unique_ptr<Instance> inner_;
  const ModelSpec& spec_;
};

}  // namespace slipstream::tensorrt
