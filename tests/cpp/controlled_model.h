// A Model whose executions the test controls: it can hold them at a gate, fail on a poisoned value,
// and remembers the number of rows of each execution. Computes y = 2 * x over [rows, width]
// float64.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace slipstream::testing {

struct Control {
  std::mutex mutex;
  std::condition_variable changed;
  bool gate_open = true;
  std::size_t free_executions = 0;  // the first so many pass a closed gate
  int at_gate = 0;
  std::atomic<double> poison{-1e300};   // an input row beginning with it fails the execution
  std::atomic<bool> mixes_rows{false};  // returns one row whatever it is given
  std::vector<std::int64_t> batches;    // rows of each execution, in order of their start

  void close_gate() {
    const std::scoped_lock lock(mutex);
    gate_open = false;
  }
  void open_gate() {
    const std::scoped_lock lock(mutex);
    gate_open = true;
    changed.notify_all();
  }
  // Lets the first `count` executions pass the closed gate, and holds the others.
  void let_pass(std::size_t count) {
    const std::scoped_lock lock(mutex);
    free_executions = count;
    changed.notify_all();
  }
  // Blocks until `count` executions are held at the gate.
  void wait_at_gate(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return at_gate >= count; });
  }
  // Blocks until execution number `count` (from 1) has begun.
  void wait_for_execution(std::size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return batches.size() >= count; });
  }
  std::vector<std::int64_t> batch_sizes() {
    const std::scoped_lock lock(mutex);
    return batches;
  }
};

class ControlledInstance : public Instance {
 public:
  explicit ControlledInstance(std::shared_ptr<Control> control) : control_(std::move(control)) {}

  Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
    const Tensor& input = execution.inputs.front();
    pass_gate(input.rows());
    const auto values = input.as<double>();
    const auto width = static_cast<std::size_t>(input.shape().elements_per_row());
    for (std::size_t i = 0; i < values.size(); i += width) {
      if (values[i] == control_->poison) return internal_error("poisoned row");
    }
    const std::int64_t rows = control_->mixes_rows ? 1 : input.rows();
    outputs.assign(1, Tensor::allocate(DType::kFloat64, input.shape().with_rows(rows)));
    auto doubled = outputs.front().as<double>();
    for (std::size_t i = 0; i < doubled.size(); ++i) doubled[i] = 2 * values[i];
    return Status::ok();
  }

 private:
  void pass_gate(std::int64_t rows) {
    std::unique_lock lock(control_->mutex);
    control_->batches.push_back(rows);
    const std::size_t number = control_->batches.size();
    ++control_->at_gate;
    control_->changed.notify_all();
    control_->changed.wait(
        lock, [&] { return control_->gate_open || number <= control_->free_executions; });
    --control_->at_gate;
  }

  std::shared_ptr<Control> control_;
};

class ControlledModel : public Model {
 public:
  explicit ControlledModel(std::shared_ptr<Control> control, bool batchable = true)
      : control_(std::move(control)) {
    spec_.inputs = {{.name = "x", .dtype = DType::kFloat64, .dims = {-1, -1}}};
    spec_.outputs = {{.name = "y", .dtype = DType::kFloat64, .dims = {-1, -1}}};
    spec_.batchable = batchable;
  }

  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    return std::unique_ptr<Instance>(std::make_unique<ControlledInstance>(control_));
  }

 private:
  std::shared_ptr<Control> control_;
  ModelSpec spec_;
};

// Rows counting up from `first`, of shape [rows, width].
inline Tensor counting_rows(double first, std::int64_t rows, std::int64_t width = 1) {
  Tensor tensor = Tensor::allocate(DType::kFloat64, {rows, width});
  for (double& value : tensor.as<double>()) value = first++;
  return tensor;
}

}  // namespace slipstream::testing
