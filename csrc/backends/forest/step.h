// Step: one operation of a forest program over a block of rows.
//
// A step is made once, at load, by the factory of its op (steps/registry.h), which checks
// everything that can be wrong with it; so running fails for want of memory for strings, or where a
// step is there to refuse rows. Loops
// are plain functions in steps/*.cc: the one virtual call a block is all that dispatch costs.
//
// To add an op: a factory in the file of its family under steps/, a row in steps/registry.cc, a row
// in docs/forest-format.md and one in python/slipstream/convert/forest_ops.py.
//
// Threads: run may be called from several threads at once, each with a scratch of its own.
// Ownership: refers to arrays of the file, which outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/forest/value.h"

namespace slipstream::forest {

// Memory of one step in one thread, for steps that need any beside their result.
class StepScratch {
 public:
  StepScratch() = default;
  StepScratch(const StepScratch&) = delete;
  StepScratch& operator=(const StepScratch&) = delete;
  virtual ~StepScratch() = default;
};

struct StepCall {
  std::size_t rows = 0;
  const Columns* values = nullptr;  // by value id; those before the step's own are set
  void* out = nullptr;              // room for [rows, width], contiguous, of the result's type
  StepScratch* scratch = nullptr;   // what make_scratch gave

  template <class T>
  [[nodiscard]] T* out_as() const noexcept {
    return static_cast<T*>(out);
  }
};

// A result that is columns [first, first + width) of another value, as they lie there.
struct ColumnView {
  std::uint32_t source = 0;  // value id
  std::uint32_t first = 0;
};

class Step {
 public:
  Step(ValueType result, std::vector<std::uint32_t> inputs) noexcept
      : result_(result), inputs_(std::move(inputs)) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;

  [[nodiscard]] const ValueType& result() const noexcept { return result_; }
  // Ids of the values it reads.
  [[nodiscard]] std::span<const std::uint32_t> inputs() const noexcept { return inputs_; }

  // Writes every element of the result. Throws std::bad_alloc where the result is strings, and
  // Refusal (refusal.h) where the step is there to refuse rows; nothing else.
  virtual void run(const StepCall& call) const = 0;

  // Scratch for calls of up to `max_rows` rows; null if none is needed. Throws std::bad_alloc.
  [[nodiscard]] virtual std::unique_ptr<StepScratch> make_scratch(std::size_t /*max_rows*/) const {
    return nullptr;
  }
  // Whether rows may be refused: such a step always runs, whatever is asked for.
  [[nodiscard]] virtual bool refuses() const noexcept { return false; }
  // A step that only names columns of another value is never run.
  [[nodiscard]] virtual std::optional<ColumnView> view() const noexcept { return std::nullopt; }

 protected:
  [[nodiscard]] const Columns& input(const StepCall& call, std::size_t index = 0) const noexcept {
    return call.values[inputs_[index]];
  }

 private:
  ValueType result_;
  std::vector<std::uint32_t> inputs_;
};

}  // namespace slipstream::forest
