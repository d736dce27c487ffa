// The hot loop: the values of one flat list into memory of one dtype.
#pragma once

#include <cstdint>

#include "wire/cell.h"
#include "wire/plain_numbers.h"
#include "wire/value_kind.h"

namespace slipstream::wire {

enum class RunEnd : std::uint8_t {
  kClosed,  // the list is over, the cursor behind it
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
template <class Format, class Cell>
[[nodiscard]] Run<typename Cell::Element> read_run(Cursor& shared_cursor,
                                                   typename Format::Frame& shared_list,
                                                   typename Cell::Element* next,
                                                   typename Cell::Element* limit,
                                                   CellContext& context) {
  Cursor cursor = shared_cursor;  // copies that can live in registers
  typename Format::Frame list = shared_list;
  RunEnd end = RunEnd::kFull;
  Fault fault = Fault::kNone;
  constexpr bool kMayBePlain = requires { Format::read_plain_run(cursor, next, limit); };
  const bool is_plain_quick = kMayBePlain && can_read_plain();
  while (next != limit) {
    if constexpr (kMayBePlain) {
      const PlainEnd plain =
          is_plain_quick ? Format::read_plain_run(cursor, next, limit) : PlainEnd::kValue;
      if (plain != PlainEnd::kValue) {
        end = plain == PlainEnd::kClosed ? RunEnd::kClosed : RunEnd::kFull;
        break;
      }
    }
    fault = Cell::template read<Format>(cursor, *next, context);
    if (fault != Fault::kNone) [[unlikely]] {
      end = RunEnd::kFault;
      break;
    }
    ++next;
    const Next behind = Format::next_item(cursor, list);
    if (behind == Next::kItem) [[likely]]
      continue;
    if (behind == Next::kEnd) {
      end = RunEnd::kClosed;
    } else {
      end = RunEnd::kFault;
      fault = Fault::kSyntax;
    }
    break;
  }
  shared_cursor = cursor;
  shared_list = list;
  return {next, end, fault};
}

}  // namespace slipstream::wire
