// Cells: how one value becomes one element of a dtype. Each is a stateless type with `Element`,
// `read` (from a document of a format: json.h, msgpack.h) and `convert` (from a number of a raw
// tensor), so that a loop over a row is compiled once per dtype with the reading inlined
// (list_run.h) and a row of mixed columns can call it through a pointer (table.cc).
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
#include "wire/fault.h"
#include "wire/half.h"
#include "wire/number.h"

namespace slipstream::wire {

// What cells need beside the bytes.
struct CellContext {
  bool accepts_missing = false;
  std::size_t max_depth = 0;  // of what stands in an ignored cell
  std::string scratch;        // strings with escapes
};

// A number of any type as a double.
template <class Number>
[[nodiscard]] double widened(Number number) noexcept {
  if constexpr (std::is_arithmetic_v<Number>) {
    return static_cast<double>(number);
  } else {
    return static_cast<double>(number.to_float());
  }
}

// A number of any type as an integer, if it is one. Faults: kNotIntegral, kBeyondType.
template <class Number>
[[nodiscard]] Fault integer_of(Number number, Integer& integer) noexcept {
  if constexpr (std::is_integral_v<Number>) {
    if constexpr (std::is_signed_v<Number>) {
      if (number < 0) {
        integer = {static_cast<std::uint64_t>(-1 - number) + 1, true};
        return Fault::kNone;
      }
    }
    integer = {static_cast<std::uint64_t>(+number), false};
    return Fault::kNone;
  } else {
    const double value = widened(number);
    const double magnitude = std::fabs(value);
    if (!std::isfinite(value) || std::trunc(value) != value) return Fault::kNotIntegral;
    if (magnitude >= 0x1p64) return Fault::kBeyondType;
    integer = {static_cast<std::uint64_t>(magnitude), std::signbit(value)};
    return Fault::kNone;
  }
}

template <class T>
struct FloatCell {
  using Element = T;

  template <class Format>
  static Fault read(Cursor& cursor, T& element, CellContext& context) noexcept {
    const Cursor begin = cursor;
    double value;
    Fault fault = Format::read_double(cursor, value);
    if (fault == Fault::kNone) [[likely]] {
      if constexpr (Format::kHasNonFinite) {
        fault = convert(value, element, context.accepts_missing);
      } else {
        fault = store(value, element);
      }
      if (fault != Fault::kNone) [[unlikely]]
        cursor = begin;
      return fault;
    }
    if (context.accepts_missing && Format::take_null(cursor)) {
      return store(std::numeric_limits<double>::quiet_NaN(), element);
    }
    return fault;
  }

  template <class Number>
  static Fault convert(Number number, T& element, bool accepts_missing) noexcept {
    if constexpr (std::is_integral_v<Number>) return store(widened(number), element);
    const double value = widened(number);
    if (std::isfinite(value)) [[likely]]
      return store(value, element);
    if (!accepts_missing) return Fault::kNotFinite;
    (void)store(value, element);  // an infinity of the same sign in every type
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

  template <class Format>
  static Fault read(Cursor& cursor, T& element, CellContext& /*context*/) noexcept {
    const Cursor begin = cursor;
    Integer integer;
    Fault fault = Format::read_integer(cursor, integer);
    if (fault == Fault::kNone) [[likely]] {
      fault = store(integer, element);
      if (fault != Fault::kNone) [[unlikely]]
        cursor = begin;
    }
    return fault;
  }

  template <class Number>
  static Fault convert(Number number, T& element, bool /*accepts_missing*/) noexcept {
    Integer integer;
    const Fault fault = integer_of(number, integer);
    return fault == Fault::kNone ? store(integer, element) : fault;
  }

 private:
  static Fault store(Integer integer, T& element) noexcept {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    const std::uint64_t limit =
        !integer.negative ? kLargest : (std::is_signed_v<T> ? kLargest + 1 : 0);
    if (integer.magnitude > limit) [[unlikely]]
      return Fault::kBeyondType;
    element =
        static_cast<T>(integer.negative ? std::uint64_t{0} - integer.magnitude : integer.magnitude);
    return Fault::kNone;
  }
};

struct BoolCell {
  using Element = bool;

  template <class Format>
  static Fault read(Cursor& cursor, bool& element, CellContext& /*context*/) noexcept {
    if (Format::take_true(cursor)) {
      element = true;
      return Fault::kNone;
    }
    if (Format::take_false(cursor)) {
      element = false;
      return Fault::kNone;
    }
    const Cursor begin = cursor;
    Integer integer;
    Fault fault = Format::read_integer(cursor, integer);
    if (fault == Fault::kNotIntegral) return Fault::kWrongKind;
    if (fault == Fault::kNone) fault = store(integer, element);
    if (fault != Fault::kNone) cursor = begin;
    return fault;
  }

  template <class Number>
  static Fault convert(Number number, bool& element, bool /*accepts_missing*/) noexcept {
    Integer integer;
    if (integer_of(number, integer) != Fault::kNone) return Fault::kWrongKind;
    return store(integer, element);
  }

 private:
  static Fault store(Integer integer, bool& element) noexcept {
    if (integer.magnitude > 1 || (integer.negative && integer.magnitude == 1)) {
      return Fault::kWrongKind;
    }
    element = integer.magnitude == 1;
    return Fault::kNone;
  }
};

struct StringCell {
  using Element = std::string;

  template <class Format>
  static Fault read(Cursor& cursor, std::string& element, CellContext& context) {
    std::string_view text;
    const Fault fault = Format::read_text(cursor, context.scratch, text);
    if (fault == Fault::kNone) [[likely]] {
      element = text;
    } else if (fault == Fault::kNull && context.accepts_missing && Format::take_null(cursor)) {
      element = kMissingString;
      return Fault::kNone;
    }
    return fault;
  }
};

// Whether every value of a byte is one of the dtype.
[[nodiscard]] constexpr bool holds_bytes(DType dtype) noexcept {
  return dtype != DType::kBool && dtype != DType::kInt8 && dtype != DType::kString;
}

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
