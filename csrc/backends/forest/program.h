// Program: the steps of a forest file with the types of all values, checked; it computes nothing.
//
// Values are numbered: the inputs first, then one value a step. A step reads only values before its
// own, so running the steps in order is always right.
// Threads: any; nothing changes after parse. Ownership: owns its steps; refers to the file's bytes.
// Failure: kInvalidArgument names the step or tensor and what is wrong with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/forest/file.h"
#include "backends/forest/step.h"
#include "backends/forest/trees/evaluator.h"
#include "core/status.h"

namespace slipstream::forest {

struct ProgramInput {
  std::string name;
  ValueType type;
};

struct ProgramOutput {
  std::string name;
  std::uint32_t value = 0;  // id
  bool flat = false;        // shape [rows], of a value of width 1
};

struct Program {
  std::vector<ProgramInput> inputs;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<ProgramOutput> outputs;
  std::vector<ValueType> values;  // by id

  // Id of what step `index` gives.
  [[nodiscard]] std::uint32_t value_of_step(std::size_t index) const noexcept {
    return static_cast<std::uint32_t>(inputs.size() + index);
  }

  // Compiles the trees too, which is where the time goes. Throws std::bad_alloc.
  [[nodiscard]] static Result<Program> parse(const ForestFile& file, const CompileOptions& trees);
};

}  // namespace slipstream::forest
