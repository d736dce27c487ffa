// Cells: how one JSON value becomes one element of a dtype. Each is a stateless type with
// `Element` and `read`, so that a loop over a row is compiled once per dtype with the reading
// inlined (list_run.h) and a row of mixed columns can call it through a pointer (table.cc).
//
// read() takes a cursor on the first byte of a value. On success it steps over the value; on a
// fault it leaves the cursor where it was. Throws only std::bad_alloc (strings).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/dtype.h"
#include "wire/cursor.h"
#include "wire/half.h"
#include "wire/number.h"
#include "wire/text.h"

namespace slipstream::wire {

// What cells need beside the bytes.
struct CellContext {
  bool accepts_missing = false;
  std::size_t max_depth = 0;  // of what stands in an ignored cell
  std::string scratch;        // strings with escapes
};

// Why the value at the cursor is not of the kind a cell wanted.
[[nodiscard]] inline Fault fault_of_other_kind(const Cursor& cursor) noexcept {
  switch (cursor.peek()) {
    case 'n':
      return Fault::kNull;
    case '"':
    case '[':
    case '{':
    case 't':
    case 'f':
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
      return Fault::kWrongKind;
    default:
      return Fault::kSyntax;
  }
}

[[nodiscard]] inline Fault fault_of_number(const Cursor& cursor, Fault fault) noexcept {
  if (fault != Fault::kSyntax) return fault;
  const char c = cursor.peek();
  return c == '-' || number_detail::is_digit(c) ? Fault::kSyntax : fault_of_other_kind(cursor);
}

template <class T>
struct FloatCell {
  using Element = T;

  static Fault read(Cursor& cursor, T& element, CellContext& context) noexcept {
    double value;
    const Parsed parsed = parse_double(cursor.next, cursor.end, value);
    if (parsed.fault != Fault::kNone) [[unlikely]] {
      if (context.accepts_missing && take_literal(cursor, "null")) {
        return store(std::numeric_limits<double>::quiet_NaN(), element);
      }
      return fault_of_number(cursor, parsed.fault);
    }
    if (const Fault fault = store(value, element); fault != Fault::kNone) [[unlikely]] {
      return fault;
    }
    cursor.next = parsed.next;
    return Fault::kNone;
  }

 private:
  static Fault store(double value, T& element) noexcept {
    if constexpr (std::is_same_v<T, double>) {
      element = value;
    } else if constexpr (std::is_same_v<T, float>) {
      element = static_cast<float>(value);
      if (std::isinf(element)) [[unlikely]]
        return Fault::kBeyondType;
    } else {
      element = T::from_double(value);
      if (element.is_infinite()) [[unlikely]]
        return Fault::kBeyondType;
    }
    return Fault::kNone;
  }
};

template <class T>
struct IntegerCell {
  using Element = T;

  static Fault read(Cursor& cursor, T& element, CellContext& /*context*/) noexcept {
    Integer integer;
    const Parsed parsed = parse_integer(cursor.next, cursor.end, integer);
    if (parsed.fault != Fault::kNone) [[unlikely]]
      return fault_of_number(cursor, parsed.fault);
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    const std::uint64_t limit =
        !integer.negative ? kLargest : (std::is_signed_v<T> ? kLargest + 1 : 0);
    if (integer.magnitude > limit) [[unlikely]]
      return Fault::kBeyondType;
    element =
        static_cast<T>(integer.negative ? std::uint64_t{0} - integer.magnitude : integer.magnitude);
    cursor.next = parsed.next;
    return Fault::kNone;
  }
};

struct BoolCell {
  using Element = bool;

  static Fault read(Cursor& cursor, bool& element, CellContext& /*context*/) noexcept {
    if (take_literal(cursor, "true")) {
      element = true;
      return Fault::kNone;
    }
    if (take_literal(cursor, "false")) {
      element = false;
      return Fault::kNone;
    }
    Integer integer;
    const Parsed parsed = parse_integer(cursor.next, cursor.end, integer);
    if (parsed.fault != Fault::kNone) {
      const Fault fault = fault_of_number(cursor, parsed.fault);
      return fault == Fault::kNotIntegral ? Fault::kWrongKind : fault;
    }
    if (integer.magnitude > 1 || (integer.negative && integer.magnitude == 1)) {
      return Fault::kWrongKind;
    }
    element = integer.magnitude == 1;
    cursor.next = parsed.next;
    return Fault::kNone;
  }
};

struct StringCell {
  using Element = std::string;

  static Fault read(Cursor& cursor, std::string& element, CellContext& context) {
    if (cursor.peek() != '"') {
      if (context.accepts_missing && take_literal(cursor, "null")) {
        element = kMissingString;
        return Fault::kNone;
      }
      return fault_of_other_kind(cursor);
    }
    const char* const begin = cursor.next;
    std::string_view text;
    if (read_string(cursor, context.scratch, text) != nullptr) {
      cursor.next = begin;
      return Fault::kSyntax;
    }
    element = text;
    return Fault::kNone;
  }
};

// Calls `visit` with a default-constructed cell of the dtype: visit(FloatCell<float>{}).
template <class Visitor>
decltype(auto) visit_cell(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::kBool:
      return visit(BoolCell{});
    case DType::kInt8:
      return visit(IntegerCell<std::int8_t>{});
    case DType::kInt16:
      return visit(IntegerCell<std::int16_t>{});
    case DType::kInt32:
      return visit(IntegerCell<std::int32_t>{});
    case DType::kInt64:
      return visit(IntegerCell<std::int64_t>{});
    case DType::kUint8:
      return visit(IntegerCell<std::uint8_t>{});
    case DType::kUint16:
      return visit(IntegerCell<std::uint16_t>{});
    case DType::kUint32:
      return visit(IntegerCell<std::uint32_t>{});
    case DType::kUint64:
      return visit(IntegerCell<std::uint64_t>{});
    case DType::kFloat16:
      return visit(FloatCell<Float16>{});
    case DType::kBfloat16:
      return visit(FloatCell<Bfloat16>{});
    case DType::kFloat32:
      return visit(FloatCell<float>{});
    case DType::kFloat64:
      return visit(FloatCell<double>{});
    case DType::kString:
      break;
  }
  return visit(StringCell{});
}

}  // namespace slipstream::wire
