// Batch: row ranges of requests that one execution will answer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/request.h"

namespace slipstream {

// Rows [begin_row, end_row) of a request. Holds one reference of the request's lifecycle.
struct BatchPart {
  Request* request;
  std::int64_t begin_row;
  std::int64_t end_row;

  [[nodiscard]] std::int64_t rows() const noexcept { return end_row - begin_row; }
  [[nodiscard]] bool is_whole() const noexcept {
    return begin_row == 0 && end_row == request->rows;
  }
};

struct Batch {
  std::vector<BatchPart> parts;
  // Requests that could not make their deadline any more, to be answered so; one reference each.
  std::vector<Request*> late;
  std::int64_t rows = 0;
  std::int64_t row_limit = 0;  // what its requests' limits and deadlines leave; the batcher's
  std::uint64_t outputs_wanted = 0;

  // So that filling it allocates nothing, but for very large batches of single rows.
  void reserve(std::int64_t max_rows) {
    parts.reserve(static_cast<std::size_t>(std::min<std::int64_t>(max_rows, 1024)));
    late.reserve(64);
  }
  void clear() noexcept {
    parts.clear();
    late.clear();
    rows = 0;
    row_limit = 0;
    outputs_wanted = 0;
  }
};

}  // namespace slipstream
