// ForestInstance: one caller of a forest model, with the memory that a call needs kept warm.
//
// A call allocates its output tensors and nothing else. Rows of a large batch are shared with idle
// threads of the process (core/helper_pool.h) where that pays.
// Threads: one at a time per instance; several instances run at once. Ownership: refers to its
// model, which outlives it; outputs belong to the caller. Failure: kInvalidArgument where the
// inputs do not fit the model or its program refuses a row, kResourceExhausted where memory runs
// out; the instance stays usable.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/forest/model.h"
#include "backends/forest/plan.h"
#include "backends/forest/workspace.h"
#include "core/backend.h"

namespace slipstream::forest {

class ForestInstance final : public Instance {
 public:
  // Throws std::bad_alloc.
  explicit ForestInstance(ForestModel& model);

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;

 private:
  static constexpr std::int64_t kFlat = -1;
  struct Output {
    DType dtype;
    std::int64_t columns;  // kFlat: of shape [rows]
  };

  // The tensors of a call.
  struct Call {
    const Plan& plan;
    std::span<const Tensor> inputs;
    std::span<Tensor> outputs;
    std::size_t rows;
  };

  // Each may throw std::bad_alloc.
  [[nodiscard]] Status run(const Execution& execution, std::vector<Tensor>& outputs);
  [[nodiscard]] Status check(std::span<const Tensor> inputs) const;
  [[nodiscard]] const Plan& plan_for(const Execution& execution);
  void allocate(const Execution& execution, std::int64_t rows, std::vector<Tensor>& outputs) const;
  // Rows [begin, end) here, and what they taught about the cost of a row.
  void run_here(const Call& call, std::size_t begin, std::size_t end);
  // Rows from `begin` on, with as many helpers as their cost is worth.
  void run_shared(const Call& call, std::size_t begin);

  ForestModel& model_;
  Workspace workspace_;
  std::vector<Output> outputs_;
  std::uint64_t all_outputs_;                 // a bit each
  std::vector<std::unique_ptr<Plan>> plans_;  // the last used first; bounded
};

}  // namespace slipstream::forest
