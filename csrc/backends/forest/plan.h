// Plan: what has to be done for the outputs that somebody wants, and nothing else.
//
// Made once for each set of wanted outputs that occurs.
// Threads: any; immutable. Ownership: refers to the program. Failure: throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/forest/layout.h"
#include "backends/forest/program.h"

namespace slipstream::forest {

inline constexpr std::uint32_t kNoOutput = ~std::uint32_t{0};

// One step of a plan. Exactly one of these places its value: an output's rows, scratch memory at
// row_offset, strings of the workspace, or (a view, then `step` is null) columns of another value.
struct PlannedStep {
  const Step* step = nullptr;
  std::uint32_t index = 0;           // of the step in the program
  std::uint32_t value = 0;           // id of its result
  std::uint32_t width = 0;           // of its result
  std::uint32_t output = kNoOutput;  // whose rows it writes
  std::size_t row_bytes = 0;         // of its result
  std::size_t row_offset = Layout::kNowhere;
  std::uint32_t source = 0;      // views: the value it looks into
  std::size_t source_bytes = 0;  // and how far into its rows
};

// A value that is somewhere else and has to be copied to an output.
struct PlannedCopy {
  std::uint32_t value = 0;
  std::uint32_t output = 0;
};

struct Plan {
  std::uint64_t outputs_wanted = 0;  // one bit an output of the program, none beyond
  std::vector<PlannedStep> steps;
  std::vector<PlannedCopy> copies;

  // Throws std::bad_alloc.
  [[nodiscard]] static Plan make(const Program& program, const Layout& layout,
                                 std::uint64_t outputs_wanted);
};

}  // namespace slipstream::forest
