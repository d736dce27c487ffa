// Json: the steps that readers of values take (nested.h, table.h, cell.h), for JSON. msgpack.h has
// the same steps for MessagePack, so that both formats obey one set of rules, written once.
//
// What is common to both: `kind` is kNone where no value begins; open_* enters a list or an object
// if one comes next; has_* and next_* tell whether there is an item (or a member) and leave the
// cursor on it; read_key stands behind the key afterwards, on the value. The readers of scalars
// step over what they read, and leave the cursor where it was on a fault. Threads: any. Throws only
// std::bad_alloc (texts).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "wire/cursor.h"
#include "wire/number.h"
#include "wire/plain_numbers.h"
#include "wire/raw_tensor.h"
#include "wire/skip.h"
#include "wire/text.h"
#include "wire/value_kind.h"

namespace slipstream::wire {

struct Json {
  // Of an open list or object: nothing, its end shows.
  struct Frame {};

  static constexpr std::int64_t kLeastBytes = 2;  // of an item and what separates it from the next
  static constexpr bool kHasNonFinite = false;

  [[nodiscard]] static ValueKind kind(const Cursor& cursor) noexcept;

  static void skip_space(Cursor& cursor) noexcept { wire::skip_space(cursor); }

  [[nodiscard]] static bool open_list(Cursor& cursor, Frame& /*frame*/) noexcept {
    return take(cursor, '[');
  }
  [[nodiscard]] static bool has_item(Cursor& cursor, Frame& /*frame*/) noexcept {
    wire::skip_space(cursor);
    return !take(cursor, ']');
  }
  [[nodiscard]] static Next next_item(Cursor& cursor, Frame& /*frame*/) noexcept {
    return behind_value(cursor, ']');
  }

  [[nodiscard]] static bool open_object(Cursor& cursor, Frame& /*frame*/) noexcept {
    return take(cursor, '{');
  }
  [[nodiscard]] static bool has_member(Cursor& cursor, Frame& /*frame*/) noexcept {
    wire::skip_space(cursor);
    return !take(cursor, '}');
  }
  [[nodiscard]] static Next next_member(Cursor& cursor, Frame& /*frame*/) noexcept {
    return behind_value(cursor, '}');
  }
  // `key` may view `scratch`, as in read_string. False: no key there.
  [[nodiscard]] static bool read_key(Cursor& cursor, std::string& scratch, std::string_view& key) {
    return cursor.peek() == '"' && read_string(cursor, scratch, key) == nullptr;
  }
  // Between a key and its value.
  [[nodiscard]] static bool open_value(Cursor& cursor) noexcept {
    wire::skip_space(cursor);
    if (!take(cursor, ':')) return false;
    wire::skip_space(cursor);
    return true;
  }

  [[nodiscard]] static bool take_null(Cursor& cursor) noexcept {
    return take_literal(cursor, "null");
  }
  [[nodiscard]] static bool take_true(Cursor& cursor) noexcept {
    return take_literal(cursor, "true");
  }
  [[nodiscard]] static bool take_false(Cursor& cursor) noexcept {
    return take_literal(cursor, "false");
  }

  [[nodiscard]] static Fault read_double(Cursor& cursor, double& value) noexcept {
    const Parsed parsed = parse_double(cursor.next, cursor.end, value);
    if (parsed.fault != Fault::kNone) [[unlikely]]
      return fault_of_number(cursor, parsed.fault);
    cursor.next = parsed.next;
    return Fault::kNone;
  }
  [[nodiscard]] static Fault read_integer(Cursor& cursor, Integer& integer) noexcept {
    const Parsed parsed = parse_integer(cursor.next, cursor.end, integer);
    if (parsed.fault != Fault::kNone) [[unlikely]]
      return fault_of_number(cursor, parsed.fault);
    cursor.next = parsed.next;
    return Fault::kNone;
  }
  [[nodiscard]] static Fault read_text(Cursor& cursor, std::string& scratch,
                                       std::string_view& text) {
    if (cursor.peek() != '"') return fault_of_kind(kind(cursor));
    const char* const begin = cursor.next;
    if (read_string(cursor, scratch, text) == nullptr) return Fault::kNone;
    cursor.next = begin;
    return Fault::kSyntax;
  }

  // Many numbers of a list at once; stops where a value needs the readers above.
  template <std::floating_point T>
  [[nodiscard]] static PlainEnd read_plain_run(Cursor& cursor, T*& next, T* limit) noexcept {
    const PlainRun<T> run = read_plain(cursor.next, cursor.end, next, limit);
    cursor.next = run.at;
    next = run.next;
    if (run.is_closed) return PlainEnd::kClosed;
    wire::skip_space(cursor);
    return next == limit ? PlainEnd::kFull : PlainEnd::kValue;
  }

  // JSON has no tensors of bytes.
  [[nodiscard]] static RawForm read_raw(Cursor& /*cursor*/, RawTensor& /*raw*/) noexcept {
    return RawForm::kNone;
  }

  // Steps over one value with a check of its syntax; `max_depth` as in check.
  [[nodiscard]] static bool skip(Cursor& cursor, std::size_t max_depth) {
    return skip_value(cursor, max_depth) == nullptr;
  }
  // kMalformed, with what and where, unless `document` is exactly one value.
  [[nodiscard]] static Status check(std::string_view document, std::size_t max_depth) {
    return check_json(document, max_depth);
  }

  // The number at the cursor, as it was written.
  [[nodiscard]] static std::string number_text(const Cursor& cursor);

 private:
  [[nodiscard]] static Next behind_value(Cursor& cursor, char closing) noexcept {
    wire::skip_space(cursor);
    if (take(cursor, ',')) [[likely]] {
      wire::skip_space(cursor);
      return Next::kItem;
    }
    return take(cursor, closing) ? Next::kEnd : Next::kBroken;
  }
  [[nodiscard]] static Fault fault_of_number(const Cursor& cursor, Fault fault) noexcept;
};

}  // namespace slipstream::wire
