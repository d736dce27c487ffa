#include "wire/json.h"

#include "wire/message.h"

namespace slipstream::wire {

ValueKind Json::kind(const Cursor& cursor) noexcept {
  const char c = cursor.peek();
  switch (c) {
    case 'n':
      return ValueKind::kNull;
    case 't':
      return ValueKind::kTrue;
    case 'f':
      return ValueKind::kFalse;
    case '"':
      return ValueKind::kString;
    case '[':
      return ValueKind::kList;
    case '{':
      return ValueKind::kObject;
    default:
      return c == '-' || number_detail::is_digit(c) ? ValueKind::kNumber : ValueKind::kNone;
  }
}

Fault Json::fault_of_number(const Cursor& cursor, Fault fault) noexcept {
  if (fault != Fault::kSyntax) return fault;
  const ValueKind found = kind(cursor);
  return found == ValueKind::kNumber ? Fault::kSyntax : fault_of_kind(found);
}

std::string Json::number_text(const Cursor& cursor) {
  Decimal decimal;
  const char* const end = scan_number(cursor.next, cursor.end, decimal);
  if (end == nullptr) return "the number";
  return excerpt({cursor.next, static_cast<std::size_t>(end - cursor.next)});
}

}  // namespace slipstream::wire
