// ValueKind: what stands at a cursor, in whatever format, before it is read. Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

#include "wire/fault.h"

namespace slipstream::wire {

enum class ValueKind : std::uint8_t {
  kNone,  // no value of the format begins here
  kNull,
  kTrue,
  kFalse,
  kNumber,
  kString,
  kList,
  kObject,
  kBinary,     // MessagePack only
  kExtension,  // MessagePack only
};

// Why a value of this kind is none that a cell of another kind could read.
[[nodiscard]] constexpr Fault fault_of_kind(ValueKind kind) noexcept {
  if (kind == ValueKind::kNone) return Fault::kSyntax;
  return kind == ValueKind::kNull ? Fault::kNull : Fault::kWrongKind;
}

// "a string", "null", "a list", ...
[[nodiscard]] std::string_view words_for(ValueKind kind) noexcept;

// Behind an item of a list or a member of an object.
enum class Next : std::uint8_t {
  kItem,    // the cursor stands on the next one
  kEnd,     // the list or object is over, the cursor behind it
  kBroken,  // neither
};

}  // namespace slipstream::wire
