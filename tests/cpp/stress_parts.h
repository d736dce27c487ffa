// What the stress test is made of: a model that misbehaves on request, and a sink that knows what
// every answer must look like and counts it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "core/completion.h"
#include "core/request.h"

namespace slipstream::testing {

// Rows that begin with one of these fail their execution.
inline constexpr double kPoison = -666;  // kInternal: the batch is run again one by one
inline constexpr double kBreakage =
    -667;  // kUnavailable: the whole batch fails, as if a child died

// y = 2 * x over [rows, width] float64, sometimes slowly.
class StressInstance : public Instance {
 public:
  Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
    const Tensor& input = execution.inputs.front();
    const auto values = input.as<double>();
    const auto width = static_cast<std::size_t>(input.shape().elements_per_row());
    if (++executions_ % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
    for (std::size_t i = 0; i < values.size(); i += width) {
      if (values[i] == kPoison) return internal_error("a poisoned row");
      if (values[i] == kBreakage) return unavailable("the instance broke");
    }
    outputs.assign(1, Tensor::allocate(DType::kFloat64, input.shape()));
    const auto doubled = outputs.front().as<double>();
    for (std::size_t i = 0; i < values.size(); ++i) doubled[i] = 2 * values[i];
    return Status::ok();
  }

 private:
  std::uint64_t executions_ = 0;
};

class StressModel : public Model {
 public:
  explicit StressModel(bool batchable) {
    spec_.inputs = {{.name = "x", .dtype = DType::kFloat64, .dims = {-1, -1}}};
    spec_.outputs = {{.name = "y", .dtype = DType::kFloat64, .dims = {-1, -1}}};
    spec_.batchable = batchable;
  }
  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    return std::unique_ptr<Instance>(std::make_unique<StressInstance>());
  }

 private:
  ModelSpec spec_;
};

// What a submitter asked for under one tag; constant from before the submission on.
struct Asked {
  double first = 0;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  double factor = 2;  // of the model, or of what is composed of it
  Nanoseconds deadline_ns = kNoDeadline;
  bool poisoned = false;

  [[nodiscard]] Tensor input(std::atomic<std::int64_t>& inputs_alive) const {
    const auto count = static_cast<std::size_t>(rows * width);
    auto values = std::make_unique<double[]>(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<double>(i);
    inputs_alive.fetch_add(1);
    double* const data = values.release();
    const std::shared_ptr<void> owner(data, [data, &inputs_alive](void*) {
      delete[] data;
      inputs_alive.fetch_sub(1);
    });
    return Tensor::wrap(DType::kFloat64, {rows, width}, data, owner);
  }

  // Null when the response is one that this request may get, else what is wrong with it.
  [[nodiscard]] const char* complaint(const Response& response) const {
    switch (response.status.code()) {
      case StatusCode::kOk:
        return poisoned ? "a poisoned request succeeded" : check_values(response);
      case StatusCode::kDeadlineExceeded:
        // Perhaps before it: what cannot make it any more is answered when that is known.
        return deadline_ns != kNoDeadline ? nullptr : "expired without a deadline";
      case StatusCode::kInternal:
        return poisoned ? nullptr : "failed with another request's poison";
      case StatusCode::kCancelled:
      case StatusCode::kUnavailable:
      case StatusCode::kResourceExhausted:  // a pipeline's later step was refused
        return nullptr;
      default:
        return "an unexpected status";
    }
  }

 private:
  [[nodiscard]] const char* check_values(const Response& response) const {
    if (response.outputs.size() != 1) return "not one output";
    const Tensor& output = response.outputs.front();
    if (output.shape() != Shape{rows, width}) return "an output of another shape";
    const auto values = output.as<double>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != factor * (first + static_cast<double>(i))) return "a wrong value";
    }
    return nullptr;
  }
};

// Completions of one submitter's tags [0, size).
class CountingSink : public CompletionSink {
 public:
  explicit CountingSink(std::size_t size) : asked(size), completions(size) {}

  std::vector<Asked> asked;                     // [tag] written before that tag is submitted
  std::vector<std::atomic<int>> completions;    // [tag]
  std::atomic<const char*> complaint{nullptr};  // the last one
  std::atomic<std::int64_t> unflushed{0};       // completions since the last flush
  std::atomic<std::int64_t> succeeded{0};

  bool complete(std::uint64_t tag, Response&& response) noexcept override {
    const auto index = static_cast<std::size_t>(tag);
    if (const char* const wrong = asked[index].complaint(response)) complaint = wrong;
    if (response.status.is_ok()) succeeded.fetch_add(1);
    completions[index].fetch_add(1);
    unflushed.fetch_add(1);
    return true;
  }
  void flush() noexcept override { unflushed.store(0); }
};

}  // namespace slipstream::testing
