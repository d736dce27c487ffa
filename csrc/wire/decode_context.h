// What the readers of one request share (nested.h, table.h, raw_decode.h).
//
// Readers return false when they cannot go on. For a value that is wrong for the model they have
// filled `failure` then; for bytes that are not of the format they leave it alone, since
// Format::check words those.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>

#include "core/status.h"
#include "wire/cell.h"
#include "wire/cursor.h"
#include "wire/input_schema.h"
#include "wire/message.h"

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

  // What exceeds the limits; always false.
  [[nodiscard]] bool fail_rows(const std::string& place) {
    return fail(place + " has more than " + counted(limits.max_rows, "row") + kMost);
  }
  [[nodiscard]] bool fail_elements() {
    return fail("data has more than " + counted(limits.max_elements, "value") + kMost);
  }

  Cursor cursor;
  const InputSchema& schema;
  const DecodeLimits& limits;
  std::pmr::memory_resource* memory;
  std::shared_ptr<void> owner;  // of the document's bytes; null: they must be copied
  CellContext cells;
  std::int64_t elements_left;  // of max_elements, not yet taken by an input
  Status failure;

 private:
  static constexpr const char* kMost =
      ", the most that one request may have; send several requests";
};

}  // namespace slipstream::wire
