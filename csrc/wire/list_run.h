// The hot loop: the values of one flat JSON list into memory of one dtype.
#pragma once

#include <cstdint>

#include "wire/cell.h"

namespace slipstream::wire {

enum class RunEnd : std::uint8_t {
  kClosed,  // the list's ']' has been read
  kFull,    // `limit` reached; the cursor stands on the value that has no room
  kFault,   // the cursor stands on the value that could not be read, or on the byte behind one
};

template <class Element>
struct Run {
  Element* next;  // behind the last element written
  RunEnd end;
  Fault fault;
};

// Reads values into [next, limit) from a cursor on the first byte of a value. Throws what
// Cell::read throws.
template <class Cell>
[[nodiscard]] Run<typename Cell::Element> read_run(Cursor& shared_cursor,
                                                   typename Cell::Element* next,
                                                   typename Cell::Element* limit,
                                                   CellContext& context) {
  Cursor cursor = shared_cursor;  // a copy that can live in registers
  RunEnd end = RunEnd::kFull;
  Fault fault = Fault::kNone;
  while (next != limit) {
    fault = Cell::read(cursor, *next, context);
    if (fault != Fault::kNone) [[unlikely]] {
      end = RunEnd::kFault;
      break;
    }
    ++next;
    skip_space(cursor);
    if (take(cursor, ',')) [[likely]] {
      skip_space(cursor);
      continue;
    }
    if (take(cursor, ']')) {
      end = RunEnd::kClosed;
    } else {
      end = RunEnd::kFault;
      fault = Fault::kSyntax;
    }
    break;
  }
  shared_cursor = cursor;
  return {next, end, fault};
}

}  // namespace slipstream::wire
