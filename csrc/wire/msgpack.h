// Msgpack: the steps that readers of values take, for MessagePack (json.h says what they promise).
//
// What differs from JSON: lists and objects say how many items they have, and a claim that the
// bytes left cannot hold is refused before anything is made of it. Numbers may be NaN or infinite;
// a model that accepts missing values takes them, as it does from arrays in process. Binary data is
// a value only inside a raw tensor: an object of exactly "dtype", "shape" and "data". Extensions
// are values that nothing takes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/status.h"
#include "wire/cell.h"
#include "wire/cursor.h"
#include "wire/raw_tensor.h"
#include "wire/text.h"
#include "wire/value_kind.h"

namespace slipstream::wire {

// What the first bytes of a value say.
struct MsgpackHead {
  enum class Number : std::uint8_t { kUnsigned, kSigned, kFloat32, kFloat64 };

  ValueKind kind = ValueKind::kNone;  // kNone: none, or it ends behind the bytes
  Number number = Number::kUnsigned;
  std::uint64_t bits = 0;      // of a number; else how many bytes, items or members follow
  const char* body = nullptr;  // what follows the head
};

class Msgpack {
 public:
  // Of an open list or object.
  struct Frame {
    std::uint64_t left = 0;  // items or members behind the one at the cursor
  };

  static constexpr std::int64_t kLeastBytes = 1;
  static constexpr bool kHasNonFinite = true;

  [[nodiscard]] static ValueKind kind(const Cursor& cursor) noexcept { return head(cursor).kind; }

  static void skip_space(Cursor& /*cursor*/) noexcept {}

  [[nodiscard]] static bool open_list(Cursor& cursor, Frame& frame) noexcept {
    return open(cursor, frame, ValueKind::kList);
  }
  [[nodiscard]] static bool has_item(Cursor& /*cursor*/, Frame& frame) noexcept {
    if (frame.left == 0) return false;
    --frame.left;
    return true;
  }
  [[nodiscard]] static Next next_item(Cursor& cursor, Frame& frame) noexcept {
    return has_item(cursor, frame) ? Next::kItem : Next::kEnd;
  }

  [[nodiscard]] static bool open_object(Cursor& cursor, Frame& frame) noexcept {
    return open(cursor, frame, ValueKind::kObject);
  }
  [[nodiscard]] static bool has_member(Cursor& cursor, Frame& frame) noexcept {
    return has_item(cursor, frame);
  }
  [[nodiscard]] static Next next_member(Cursor& cursor, Frame& frame) noexcept {
    return next_item(cursor, frame);
  }
  [[nodiscard]] static bool read_key(Cursor& cursor, std::string& scratch, std::string_view& key) {
    return read_text(cursor, scratch, key) == Fault::kNone;
  }
  [[nodiscard]] static bool open_value(Cursor& /*cursor*/) noexcept { return true; }

  [[nodiscard]] static bool take_null(Cursor& cursor) noexcept { return take(cursor, '\xC0'); }
  [[nodiscard]] static bool take_true(Cursor& cursor) noexcept { return take(cursor, '\xC3'); }
  [[nodiscard]] static bool take_false(Cursor& cursor) noexcept { return take(cursor, '\xC2'); }

  [[nodiscard]] static Fault read_double(Cursor& cursor, double& value) noexcept {
    if (cursor.left() >= 9 && *cursor.next == '\xCB') [[likely]] {
      value = std::bit_cast<double>(big_endian<std::uint64_t>(cursor.next + 1));
      cursor.next += 9;
      return Fault::kNone;
    }
    return read_other_double(cursor, value);
  }
  [[nodiscard]] static Fault read_integer(Cursor& cursor, Integer& integer) noexcept;
  [[nodiscard]] static Fault read_text(Cursor& cursor, std::string& scratch,
                                       std::string_view& text) noexcept;

  // Throws std::bad_alloc.
  [[nodiscard]] static RawForm read_raw(Cursor& cursor, RawTensor& raw);

  [[nodiscard]] static bool skip(Cursor& cursor, std::size_t max_depth);
  [[nodiscard]] static Status check(std::string_view document, std::size_t max_depth);

  // As JSON would have it; NaN and Infinity by name.
  [[nodiscard]] static std::string number_text(const Cursor& cursor);

  [[nodiscard]] static MsgpackHead head(const Cursor& cursor) noexcept;

 private:
  template <class Unsigned>
  [[nodiscard]] static Unsigned big_endian(const char* bytes) noexcept {
    Unsigned value;
    std::memcpy(&value, bytes, sizeof value);
    if constexpr (std::endian::native == std::endian::big) return value;
    if constexpr (sizeof value == 8) return __builtin_bswap64(value);
    if constexpr (sizeof value == 4) return __builtin_bswap32(value);
    if constexpr (sizeof value == 2) return __builtin_bswap16(value);
    return value;
  }
  template <class Unsigned>
  static bool take_bits(const Cursor& cursor, MsgpackHead& head) noexcept;
  template <class Signed>
  static bool take_signed(const Cursor& cursor, MsgpackHead& head) noexcept;
  static bool take_head(const Cursor& cursor, MsgpackHead& head) noexcept;
  static bool take_number(const Cursor& cursor, MsgpackHead& head) noexcept;
  static bool take_sized(const Cursor& cursor, MsgpackHead& head) noexcept;
  static bool take_extension(const Cursor& cursor, MsgpackHead& head) noexcept;

  [[nodiscard]] static bool open(Cursor& cursor, Frame& frame, ValueKind wanted) noexcept {
    const MsgpackHead found = head(cursor);
    if (found.kind != wanted) return false;
    cursor.next = found.body;
    frame.left = found.bits;
    return true;
  }
  [[nodiscard]] static Fault read_other_double(Cursor& cursor, double& value) noexcept;
};

}  // namespace slipstream::wire
