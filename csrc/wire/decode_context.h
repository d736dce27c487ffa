// What the readers of one request share (nested.h, table.h).
//
// Readers return false when they cannot go on. For a value that is wrong for the model they have
// filled `failure` then; for bytes that are not JSON they leave it alone, since check_json words
// those.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <string>
#include <utility>

#include "core/status.h"
#include "wire/cell.h"
#include "wire/cursor.h"
#include "wire/input_schema.h"

namespace slipstream::wire {

struct DecodeContext {
  DecodeContext(Cursor document, const InputSchema& model, const DecodeLimits& bounds,
                std::pmr::memory_resource* resource)
      : cursor(document),
        schema(model),
        limits(bounds),
        memory(resource),
        cells{model.accepts_missing, bounds.max_depth < 2 ? 0 : bounds.max_depth - 2, {}},
        elements_left(bounds.max_elements) {}

  // Always false, to be returned.
  [[nodiscard]] bool fail(std::string message) {
    failure = invalid_argument(std::move(message));
    return false;
  }

  Cursor cursor;
  const InputSchema& schema;
  const DecodeLimits& limits;
  std::pmr::memory_resource* memory;
  CellContext cells;
  std::int64_t elements_left;  // of max_elements, not yet taken by an input
  Status failure;
};

}  // namespace slipstream::wire
