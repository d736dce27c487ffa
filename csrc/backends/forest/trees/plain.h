// PlainEvaluator: node by node as the file describes them. No layout of its own, no limits: what
// runs the trees that fit no faster algorithm, and what those are compared with.
//
// Threads: any. Ownership: refers to the ensemble. Failure: none.
#pragma once

#include "backends/forest/trees/evaluator.h"

namespace slipstream::forest {

class PlainEvaluator final : public Evaluator {
 public:
  explicit PlainEvaluator(const Ensemble& trees) noexcept : trees_(trees) {}

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t max_rows) const override;
  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override;

 private:
  const Ensemble trees_;
};

}  // namespace slipstream::forest
