// How the rows of a batch are shared: a pure function of their number, cost and the threads.
//
// Threads: any. Failure: none.
#pragma once

#include <algorithm>
#include <cstddef>

namespace slipstream::forest {

inline constexpr std::size_t kMinSharedRows = 16;   // fewer are not even timed
inline constexpr std::size_t kTriedRows = 64;       // what an unknown model is tried on
inline constexpr double kNsPerHelper = 100'000;     // waking one costs up to half of it
inline constexpr std::size_t kSmallChunkRows = 16;  // a chunk is a multiple of this,
inline constexpr std::size_t kChunkRows = 64;       // or of this if it is larger

// Helpers, beside the caller, that `rows` of `row_ns` each are worth: as many as leave everybody
// kNsPerHelper of work.
[[nodiscard]] inline std::size_t helpers_worth(std::size_t rows, double row_ns,
                                               std::size_t threads) noexcept {
  const double shares = std::min(static_cast<double>(rows) * row_ns / kNsPerHelper,
                                 static_cast<double>(rows) / static_cast<double>(kSmallChunkRows));
  if (shares < 2) return 0;
  const double most = static_cast<double>(threads);
  return static_cast<std::size_t>(std::min(shares, most)) - 1;
}

// Rows of a chunk: everybody gets one or more of the same size, none above `block_rows`, since rows
// run best in full blocks.
[[nodiscard]] inline std::size_t rows_per_chunk(std::size_t rows, std::size_t workers,
                                                std::size_t block_rows) noexcept {
  const auto divided_up = [](std::size_t a, std::size_t b) { return (a + b - 1) / b; };
  const std::size_t blocks = divided_up(rows, block_rows);
  const std::size_t rounds = divided_up(blocks, workers);
  const std::size_t fair = divided_up(rows, rounds * workers);
  const std::size_t multiple = fair < kChunkRows ? kSmallChunkRows : kChunkRows;
  return std::min(divided_up(fair, multiple) * multiple, block_rows);
}

}  // namespace slipstream::forest
