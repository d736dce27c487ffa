#include "backends/process/instance.h"

#include <algorithm>
#include <exception>
#include <new>
#include <span>
#include <utility>

namespace slipstream::process {
namespace {

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{10'000};

std::chrono::milliseconds pause_after(std::uint32_t failed_starts) {
  const std::uint32_t doublings = std::min(failed_starts - 1, 16U);
  return std::min(kFirstPause * (1U << doublings), kLongestPause);
}

bool same_tensors(const std::vector<TensorSpec>& a, const std::vector<TensorSpec>& b) {
  return std::ranges::equal(a, b, [](const TensorSpec& left, const TensorSpec& right) {
    return left.name == right.name && left.dtype == right.dtype && left.dims == right.dims;
  });
}

bool same_spec(const ModelSpec& a, const ModelSpec& b) {
  return a.batchable == b.batchable && same_tensors(a.inputs, b.inputs) &&
         same_tensors(a.outputs, b.outputs);
}

bool dims_fit(std::span<const std::int64_t> dims, const std::vector<std::int64_t>& expected) {
  return std::ranges::equal(dims, expected, [](std::int64_t dim, std::int64_t wanted) {
    return wanted == -1 || dim == wanted;
  });
}

Status check_inputs(std::span<const Tensor> inputs, const std::vector<TensorSpec>& specs) {
  if (inputs.size() != specs.size()) {
    return invalid_argument("the model takes " + std::to_string(specs.size()) + " inputs, not " +
                            std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const Tensor& input = inputs[i];
    if (input.dtype() == specs[i].dtype && dims_fit(input.shape().dims(), specs[i].dims)) continue;
    return invalid_argument(
        "input '" + specs[i].name + "' takes " + std::string(dtype_name(specs[i].dtype)) + " " +
        to_string(specs[i].dims) + ", not " + std::string(dtype_name(input.dtype())) + " " +
        to_string(input.shape().dims()));
  }
  return Status::ok();
}

}  // namespace

Status ProcessInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  try {
    Status checked = check_inputs(execution.inputs, spec_.inputs);
    if (!checked.is_ok()) return checked;
    if (Status status = ensure_worker(); !status.is_ok()) return status;
    Status status = link_->call(execution, outputs);
    if (link_->is_broken()) replace_link(nullptr);
    return status;
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory while talking to a worker process");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

void ProcessInstance::interrupt() noexcept {
  const std::scoped_lock lock(link_mutex_);
  is_interrupted_ = true;
  if (link_) link_->stop();
}

void ProcessInstance::replace_link(std::unique_ptr<WorkerLink> link) {
  const std::scoped_lock lock(link_mutex_);
  link_ = std::move(link);
  if (link_ && is_interrupted_) link_->stop();  // it was being started meanwhile
}

Status ProcessInstance::ensure_worker() {
  if (link_ && (link_->is_broken() || link_->has_died())) replace_link(nullptr);
  if (link_) return Status::ok();
  if (failed_starts_ > 0 && std::chrono::steady_clock::now() < next_start_) {
    return unavailable("no worker process for model " + launch_.model + " after " +
                       std::to_string(failed_starts_) +
                       " failed starts; the last: " + last_failure_);
  }
  Result<std::unique_ptr<WorkerLink>> started = WorkerLink::start(launch_);
  if (!started.is_ok()) return start_failed(started.status());
  if (!same_spec(started.value()->spec(), spec_)) {
    return start_failed(failed_precondition(
        "the artifact now has other inputs or outputs than when it was loaded; reload the model"));
  }
  replace_link(std::move(started).value());
  failed_starts_ = 0;
  restarts_.add(1);
  return Status::ok();
}

Status ProcessInstance::start_failed(const Status& reason) {
  last_failure_ = reason.message();
  ++failed_starts_;
  next_start_ = std::chrono::steady_clock::now() + pause_after(failed_starts_);
  return unavailable("cannot restart the worker process of model " + launch_.model + ": " +
                     last_failure_);
}

}  // namespace slipstream::process
