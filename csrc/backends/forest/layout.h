// Layout: where in the scratch memory of a block each value of a program lies.
//
// Values that are not needed at the same time share memory, so that a long pipeline stays in cache.
// The layout is made for running every step; running fewer of them only leaves gaps.
// Threads: any; immutable. Failure: kInvalidArgument when one row would need too much memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/forest/program.h"
#include "core/status.h"

namespace slipstream::forest {

struct Layout {
  // Bytes in front of each value, for one row; kNowhere for inputs, views and strings.
  std::vector<std::size_t> row_offset;
  std::size_t row_bytes = 0;   // of all values that have an offset
  std::size_t block_rows = 0;  // rows run at a time

  static constexpr std::size_t kNowhere = ~std::size_t{0};

  // Throws std::bad_alloc.
  [[nodiscard]] static Result<Layout> make(const Program& program);
};

// A block is as many rows as the steps profit from, and fewer if its scratch would not stay small.
inline constexpr std::size_t kMaxBlockRows = 512;
inline constexpr std::size_t kBlockRowsMultiple = 64;
inline constexpr std::size_t kMaxScratchBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxRowBytes = std::size_t{32} << 20;  // 2^22 numbers

}  // namespace slipstream::forest
