#include "wire/msgpack.h"

#include <type_traits>

#include "wire/message.h"

namespace slipstream::wire {
namespace {

using Number = MsgpackHead::Number;

double double_of(const MsgpackHead& head) noexcept {
  switch (head.number) {
    case Number::kUnsigned:
      return static_cast<double>(head.bits);
    case Number::kSigned:
      return static_cast<double>(static_cast<std::int64_t>(head.bits));
    case Number::kFloat32:
      return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(head.bits)));
    case Number::kFloat64:
      break;
  }
  return std::bit_cast<double>(head.bits);
}

}  // namespace

template <class Unsigned>
bool Msgpack::take_bits(const Cursor& cursor, MsgpackHead& head) noexcept {
  if (cursor.left() < 1 + sizeof(Unsigned)) return false;
  head.bits = big_endian<Unsigned>(cursor.next + 1);
  head.body = cursor.next + 1 + sizeof(Unsigned);
  return true;
}

template <class Signed>
bool Msgpack::take_signed(const Cursor& cursor, MsgpackHead& head) noexcept {
  if (!take_bits<std::make_unsigned_t<Signed>>(cursor, head)) return false;
  constexpr int kSpare = 64 - 8 * static_cast<int>(sizeof(Signed));
  const auto value = static_cast<std::int64_t>(head.bits << kSpare) >> kSpare;
  head.number = value < 0 ? Number::kSigned : Number::kUnsigned;
  head.bits = static_cast<std::uint64_t>(value);
  return true;
}

MsgpackHead Msgpack::head(const Cursor& cursor) noexcept {
  MsgpackHead head;
  if (cursor.at_end() || !take_head(cursor, head)) return {};
  const auto left = static_cast<std::uint64_t>(cursor.end - head.body);
  switch (head.kind) {
    case ValueKind::kString:
    case ValueKind::kBinary:
    case ValueKind::kExtension:
    case ValueKind::kList:
      return head.bits <= left ? head : MsgpackHead{};
    case ValueKind::kObject:
      return head.bits <= left / 2 ? head : MsgpackHead{};
    default:
      return head;
  }
}

bool Msgpack::take_head(const Cursor& cursor, MsgpackHead& head) noexcept {
  const auto first = static_cast<unsigned char>(*cursor.next);
  head.body = cursor.next + 1;
  head.bits = first;
  head.kind = ValueKind::kNumber;
  if (first < 0x80) return true;
  if (first >= 0xE0) {
    head.number = Number::kSigned;
    head.bits = first | ~std::uint64_t{0xFF};
    return true;
  }
  if (first < 0xC0) {
    head.kind = first < 0x90   ? ValueKind::kObject
                : first < 0xA0 ? ValueKind::kList
                               : ValueKind::kString;
    head.bits = first & (first < 0xA0 ? 0x0FU : 0x1FU);
    return true;
  }
  switch (first) {
    case 0xC0:
      head.kind = ValueKind::kNull;
      return true;
    case 0xC1:  // reserved for ever
      return false;
    case 0xC2:
      head.kind = ValueKind::kFalse;
      return true;
    case 0xC3:
      head.kind = ValueKind::kTrue;
      return true;
    default:
      break;
  }
  if (first >= 0xCA && first <= 0xD3) return take_number(cursor, head);
  if ((first >= 0xC7 && first <= 0xC9) || (first >= 0xD4 && first <= 0xD8)) {
    return take_extension(cursor, head);
  }
  return take_sized(cursor, head);
}

bool Msgpack::take_number(const Cursor& cursor, MsgpackHead& head) noexcept {
  switch (static_cast<unsigned char>(*cursor.next)) {
    case 0xCA:
      head.number = Number::kFloat32;
      return take_bits<std::uint32_t>(cursor, head);
    case 0xCB:
      head.number = Number::kFloat64;
      return take_bits<std::uint64_t>(cursor, head);
    case 0xCC:
      return take_bits<std::uint8_t>(cursor, head);
    case 0xCD:
      return take_bits<std::uint16_t>(cursor, head);
    case 0xCE:
      return take_bits<std::uint32_t>(cursor, head);
    case 0xCF:
      return take_bits<std::uint64_t>(cursor, head);
    case 0xD0:
      return take_signed<std::int8_t>(cursor, head);
    case 0xD1:
      return take_signed<std::int16_t>(cursor, head);
    case 0xD2:
      return take_signed<std::int32_t>(cursor, head);
    default:
      return take_signed<std::int64_t>(cursor, head);
  }
}

// Texts, binary data, lists and objects with their size behind the first byte.
bool Msgpack::take_sized(const Cursor& cursor, MsgpackHead& head) noexcept {
  const auto first = static_cast<unsigned char>(*cursor.next);
  head.kind = first <= 0xC6   ? ValueKind::kBinary
              : first <= 0xDB ? ValueKind::kString
              : first <= 0xDD ? ValueKind::kList
                              : ValueKind::kObject;
  switch (first) {
    case 0xC4:
    case 0xD9:
      return take_bits<std::uint8_t>(cursor, head);
    case 0xC5:
    case 0xDA:
    case 0xDC:
    case 0xDE:
      return take_bits<std::uint16_t>(cursor, head);
    default:
      return take_bits<std::uint32_t>(cursor, head);
  }
}

// An extension's type is one more byte of its body.
bool Msgpack::take_extension(const Cursor& cursor, MsgpackHead& head) noexcept {
  const auto first = static_cast<unsigned char>(*cursor.next);
  head.kind = ValueKind::kExtension;
  if (first >= 0xD4) {
    head.bits = std::uint64_t{1} << (first - 0xD4);
  } else if (!(first == 0xC7   ? take_bits<std::uint8_t>(cursor, head)
               : first == 0xC8 ? take_bits<std::uint16_t>(cursor, head)
                               : take_bits<std::uint32_t>(cursor, head))) {
    return false;
  }
  ++head.bits;
  return true;
}

Fault Msgpack::read_other_double(Cursor& cursor, double& value) noexcept {
  const MsgpackHead found = head(cursor);
  if (found.kind != ValueKind::kNumber) return fault_of_kind(found.kind);
  value = double_of(found);
  cursor.next = found.body;
  return Fault::kNone;
}

Fault Msgpack::read_integer(Cursor& cursor, Integer& integer) noexcept {
  const MsgpackHead found = head(cursor);
  if (found.kind != ValueKind::kNumber) return fault_of_kind(found.kind);
  Fault fault = Fault::kNone;
  if (found.number == Number::kUnsigned) {
    integer = {found.bits, false};
  } else if (found.number == Number::kSigned) {
    integer = {std::uint64_t{0} - found.bits, true};
  } else {
    fault = integer_of(double_of(found), integer);
  }
  if (fault == Fault::kNone) cursor.next = found.body;
  return fault;
}

Fault Msgpack::read_text(Cursor& cursor, std::string& /*scratch*/,
                         std::string_view& text) noexcept {
  const MsgpackHead found = head(cursor);
  if (found.kind != ValueKind::kString) return fault_of_kind(found.kind);
  text = {found.body, static_cast<std::size_t>(found.bits)};
  if (!is_utf8(text)) return Fault::kSyntax;
  cursor.next = found.body + found.bits;
  return Fault::kNone;
}

std::string Msgpack::number_text(const Cursor& cursor) {
  const MsgpackHead found = head(cursor);
  if (found.kind != ValueKind::kNumber) return "the number";
  if (found.number == Number::kUnsigned) return std::to_string(found.bits);
  if (found.number == Number::kSigned) {
    return std::to_string(static_cast<std::int64_t>(found.bits));
  }
  return text_of_number(double_of(found), found.number == Number::kFloat32);
}

}  // namespace slipstream::wire
