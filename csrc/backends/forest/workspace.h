// Workspace: runs a program for one thread, block by block, in memory that it keeps.
//
// A call allocates nothing but what long strings need, and costs little beyond its steps: one
// virtual call each, and two stores to say where its value lies.
// Threads: one at a time; several workspaces of a program may run at once, on disjoint rows of the
// same tensors. Ownership: refers to the program and layout. Failure: throws std::bad_alloc, and
// Refusal.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "backends/forest/layout.h"
#include "backends/forest/plan.h"
#include "backends/forest/program.h"
#include "core/tensor.h"

namespace slipstream::forest {

class Workspace {
 public:
  Workspace(const Program& program, const Layout& layout);

  // Computes rows [begin, end) of the outputs that the plan is for. Inputs and outputs fit the
  // program; unwanted outputs are not looked at.
  void run(const Plan& plan, std::span<const Tensor> inputs, std::span<Tensor> outputs,
           std::size_t begin, std::size_t end);

 private:
  struct AlignedDelete {
    void operator()(std::byte* memory) const noexcept {
      ::operator delete(memory, std::align_val_t{Tensor::kAlignment});
    }
  };

  void run_block(const Plan& plan, std::span<Tensor> outputs, std::size_t begin, std::size_t rows);
  void* place(const PlannedStep& item, std::span<Tensor> outputs, std::size_t begin,
              std::size_t padded_rows);
  void copy_out(const PlannedCopy& copy, Tensor& output, std::size_t begin, std::size_t rows) const;

  const Program& program_;
  const Layout& layout_;
  std::unique_ptr<std::byte, AlignedDelete> arena_;
  std::vector<Columns> values_;                          // by id, of the block that runs
  std::vector<std::unique_ptr<StepScratch>> scratches_;  // by step; null where none is needed
  std::vector<std::vector<std::string>> strings_;        // by step; empty where none is made
};

}  // namespace slipstream::forest
