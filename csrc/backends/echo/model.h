// EchoModel: the immutable description that its instances share.
//
// Threads: any (the spec and options never change; the call count is atomic). Ownership: the caller
// of load owns the model and destroys every instance before it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "backends/echo/options.h"
#include "core/backend.h"

namespace slipstream::echo {

class EchoModel final : public Model {
 public:
  explicit EchoModel(EchoOptions options);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;
  // A model told to sleep must not put the thread that submits a request to sleep.
  [[nodiscard]] bool may_run_inline() const noexcept override {
    return options_.delay == options_.delay.zero();
  }

  [[nodiscard]] const EchoOptions& options() const noexcept { return options_; }
  // Counts an execute, over all instances, and says whether it is one that must fail.
  [[nodiscard]] bool next_execute_fails() noexcept;

 private:
  EchoOptions options_;
  ModelSpec spec_;
  std::atomic<std::int64_t> executes_{0};
};

// kNotFound when config.path is not empty and nothing is there; kInvalidArgument for a bad option.
[[nodiscard]] Result<std::unique_ptr<Model>> load_echo_model(const ModelConfig& config);

}  // namespace slipstream::echo
