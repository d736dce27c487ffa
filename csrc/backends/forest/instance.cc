#include "backends/forest/instance.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <string>

#include "backends/forest/refusal.h"
#include "backends/forest/sharing.h"
#include "core/clock.h"
#include "core/helper_pool.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kMaxPlans = 16;

// Workspaces of helpers, given back whatever happens.
class Borrowed {
 public:
  Borrowed(ForestModel& model, std::size_t count) : model_(model) {
    workspaces_.reserve(count);
    bool borrowed = true;
    while (borrowed && workspaces_.size() < count) borrowed = borrow();
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    for (auto& workspace : workspaces_) model_.give_back(std::move(workspace));
  }
  [[nodiscard]] std::size_t size() const noexcept { return workspaces_.size(); }
  [[nodiscard]] Workspace& operator[](std::size_t index) noexcept { return *workspaces_[index]; }

 private:
  // False without memory for another: then there are fewer helpers.
  bool borrow() {
    try {
      workspaces_.push_back(model_.borrow_workspace());
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  ForestModel& model_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
};

Status does_not_fit(const TensorSpec& spec, const std::string& given, const std::string& taken) {
  return invalid_argument("forest backend: input '" + spec.name + "' " + given +
                          ", the model takes " + taken);
}

}  // namespace

ForestInstance::ForestInstance(ForestModel& model)
    : model_(model),
      workspace_(model.program(), model.layout()),
      all_outputs_(~std::uint64_t{0} >> (kMaxEnds - model.program().outputs.size())) {
  for (const TensorSpec& spec : model.spec().outputs) {
    outputs_.push_back({spec.dtype, spec.dims.size() == 1 ? kFlat : spec.dims[1]});
  }
  plans_.reserve(kMaxPlans);
  plans_.push_back(
      std::make_unique<Plan>(Plan::make(model.program(), model.layout(), all_outputs_)));
}

Status ForestInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  try {
    return run(execution, outputs);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("forest backend: out of memory");
  } catch (const Refusal& refusal) {
    return invalid_argument(refusal.text());
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

Status ForestInstance::run(const Execution& execution, std::vector<Tensor>& outputs) {
  if (Status status = check(execution.inputs); !status.is_ok()) return status;
  const std::int64_t rows = execution.inputs.front().rows();
  allocate(execution, rows, outputs);
  const Call call{.plan = plan_for(execution),
                  .inputs = execution.inputs,
                  .outputs = outputs,
                  .rows = static_cast<std::size_t>(rows)};
  if (call.rows < kMinSharedRows) {
    workspace_.run(call.plan, call.inputs, call.outputs, 0, call.rows);
    return Status::ok();
  }
  if (model_.threads() == 1) {
    run_here(call, 0, call.rows);
    return Status::ok();
  }
  // The first batch ever tells what a row costs by its first rows.
  const std::size_t tried = model_.row_ns() == 0 ? std::min(call.rows, kTriedRows) : 0;
  if (tried != 0) run_here(call, 0, tried);
  run_shared(call, tried);
  return Status::ok();
}

Status ForestInstance::check(std::span<const Tensor> inputs) const {
  const std::vector<TensorSpec>& specs = model_.spec().inputs;
  if (inputs.size() != specs.size()) {
    return invalid_argument("forest backend: " + std::to_string(inputs.size()) +
                            " inputs given, the model takes " + std::to_string(specs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = specs[i];
    const Shape& shape = inputs[i].shape();
    if (inputs[i].dtype() != spec.dtype) {
      return does_not_fit(spec, "is " + std::string(dtype_name(inputs[i].dtype())),
                          std::string(dtype_name(spec.dtype)));
    }
    if (shape.rank() != 2 || shape[1] != spec.dims[1] || shape[0] < 0) {
      return does_not_fit(spec, "has shape " + to_string(shape.dims()), to_string(spec.dims));
    }
    if (shape[0] != inputs[0].shape()[0]) {
      return does_not_fit(spec, "has " + std::to_string(shape[0]) + " rows",
                          "as many as of '" + specs[0].name + "', which has " +
                              std::to_string(inputs[0].shape()[0]));
    }
  }
  return Status::ok();
}

const Plan& ForestInstance::plan_for(const Execution& execution) {
  const std::uint64_t wanted = execution.outputs_wanted & all_outputs_;
  if (plans_.front()->outputs_wanted == wanted) return *plans_.front();
  auto found =
      std::ranges::find(plans_, wanted, [](const auto& plan) { return plan->outputs_wanted; });
  if (found == plans_.end()) {
    auto plan = std::make_unique<Plan>(Plan::make(model_.program(), model_.layout(), wanted));
    if (plans_.size() == kMaxPlans) plans_.pop_back();
    found = plans_.insert(plans_.end(), std::move(plan));
  }
  std::rotate(plans_.begin(), found, found + 1);
  return *plans_.front();
}

void ForestInstance::allocate(const Execution& execution, std::int64_t rows,
                              std::vector<Tensor>& outputs) const {
  outputs.clear();
  outputs.reserve(outputs_.size());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (!execution.wants(i)) {
      outputs.emplace_back();
      continue;
    }
    const auto [dtype, columns] = outputs_[i];
    outputs.emplace_back(dtype, columns == kFlat ? Shape{rows} : Shape{rows, columns},
                         execution.memory);
  }
}

void ForestInstance::run_here(const Call& call, std::size_t begin, std::size_t end) {
  const Nanoseconds start = now_ns();
  workspace_.run(call.plan, call.inputs, call.outputs, begin, end);
  const auto took = static_cast<double>(now_ns() - start);
  model_.learn_row_ns(took / static_cast<double>(end - begin));
}

void ForestInstance::run_shared(const Call& call, std::size_t begin) {
  const std::size_t rows = call.rows - begin;
  const std::size_t wanted = helpers_worth(rows, model_.row_ns(), model_.threads());
  if (wanted == 0) {
    if (rows != 0) run_here(call, begin, call.rows);
    return;
  }
  HelperPool::Crew crew = HelperPool::shared().hire(wanted);
  Borrowed borrowed(model_, crew.size());
  crew.keep(borrowed.size());
  const std::size_t chunk_rows = rows_per_chunk(rows, crew.size() + 1, model_.layout().block_rows);
  std::atomic<bool> out_of_memory{false};
  std::atomic<const std::string*> refused{nullptr};
  std::size_t rows_here = 0;
  Nanoseconds took_here = 0;
  const auto body = [&](std::size_t worker, std::size_t chunk) noexcept {
    const std::size_t from = begin + chunk * chunk_rows;
    const std::size_t to = std::min(from + chunk_rows, call.rows);
    const Nanoseconds start = now_ns();
    try {
      Workspace& workspace = worker == 0 ? workspace_ : borrowed[worker - 1];
      workspace.run(call.plan, call.inputs, call.outputs, from, to);
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_release);
    } catch (const Refusal& refusal) {
      refused.store(&refusal.text(), std::memory_order_release);
    }
    if (worker != 0) return;
    rows_here += to - from;
    took_here += now_ns() - start;
  };
  crew.run((rows + chunk_rows - 1) / chunk_rows, body);
  // Acquire: pairs with the stores above.
  if (out_of_memory.load(std::memory_order_acquire)) throw std::bad_alloc();
  if (const std::string* text = refused.load(std::memory_order_acquire)) throw Refusal(*text);
  if (rows_here != 0) {
    model_.learn_row_ns(static_cast<double>(took_here) / static_cast<double>(rows_here));
  }
}

}  // namespace slipstream::forest
