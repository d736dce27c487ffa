// Evaluator: the sums of an ensemble for rows, by whichever algorithm suits the trees and the
// batch.
//
// Every algorithm gives the same bits: decisions are those of the library that trained the model
// and sums are made in tree order in its precision. Threads: `sums` may be called from several
// threads at once, each with a Scratch of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "backends/forest/trees/ensemble.h"
#include "core/status.h"

namespace slipstream::forest {

// Rows as they come: row-major, float64 or float32, `stride` elements from one row to the next.
struct RowsView {
  const void* data = nullptr;
  std::size_t stride = 0;
  bool is_float32 = false;
};

[[nodiscard]] inline double value_at(const RowsView& x, std::size_t row,
                                     std::size_t feature) noexcept {
  const std::size_t at = row * x.stride + feature;
  return x.is_float32 ? static_cast<double>(static_cast<const float*>(x.data)[at])
                      : static_cast<const double*>(x.data)[at];
}

class Evaluator {
 public:
  // Memory of one caller; made once, used for every call of that caller.
  class Scratch {
   public:
    Scratch() = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    virtual ~Scratch() = default;
  };

  Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  virtual ~Evaluator() = default;

  // Scratch for calls of up to `max_rows` rows. Throws std::bad_alloc.
  [[nodiscard]] virtual std::unique_ptr<Scratch> make_scratch(std::size_t max_rows) const = 0;

  // Writes [rows, outputs] (float if the ensemble sums in float32, else double) to `out`.
  virtual void sums(const RowsView& x, std::size_t rows, void* out,
                    Scratch& scratch) const noexcept = 0;
};

struct CompileOptions {
  // "auto" measures the candidates at load and chooses by batch size; else the name of one of them.
  std::string algorithm = "auto";
};

// Builds the layouts and chooses among the algorithms. `ensemble` is validated and its memory
// outlives the evaluator. kInvalidArgument names an algorithm that is unknown or does not fit.
// Throws std::bad_alloc.
[[nodiscard]] Result<std::unique_ptr<Evaluator>> compile(const Ensemble& ensemble,
                                                         const CompileOptions& options);

}  // namespace slipstream::forest
