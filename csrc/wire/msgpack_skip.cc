// What is no MessagePack, and where: the one place that words it, as skip.cc does for JSON.
#include <array>
#include <vector>

#include "wire/msgpack.h"

namespace slipstream::wire {
namespace {

constexpr Flaw kTooDeep = "lists or objects nested too deep";

// What a value that MsgpackHead refuses is.
Flaw flaw_of_head(const Cursor& cursor) noexcept {
  if (cursor.at_end()) return "the end of the data where more was expected";
  if (*cursor.next == '\xC1') return "the byte 0xC1, which begins nothing";
  return "the end of the data inside a value";
}

// Steps over one value without recursion. On a flaw the cursor stands where it was found.
Flaw skip_msgpack(Cursor& cursor, std::size_t max_depth) {
  struct Open {
    std::uint64_t left;  // values, keys included
    bool is_object;
  };
  std::vector<Open> open;
  std::string scratch;
  std::string_view text;
  do {
    const bool is_key = !open.empty() && open.back().is_object && open.back().left % 2 == 0;
    if (!open.empty()) --open.back().left;
    const MsgpackHead head = Msgpack::head(cursor);
    if (head.kind == ValueKind::kNone) return flaw_of_head(cursor);
    if (is_key && head.kind != ValueKind::kString) return "an object key that is no string";
    switch (head.kind) {
      case ValueKind::kString:
        if (Msgpack::read_text(cursor, scratch, text) != Fault::kNone) {
          return "invalid UTF-8 in a string";
        }
        break;
      case ValueKind::kBinary:
      case ValueKind::kExtension:
        cursor.next = head.body + head.bits;
        break;
      case ValueKind::kList:
      case ValueKind::kObject: {
        if (open.size() >= max_depth) return kTooDeep;
        const bool is_object = head.kind == ValueKind::kObject;
        cursor.next = head.body;
        open.push_back({is_object ? 2 * head.bits : head.bits, is_object});
        break;
      }
      default:
        cursor.next = head.body;
    }
    while (!open.empty() && open.back().left == 0) open.pop_back();
  } while (!open.empty());
  return nullptr;
}

}  // namespace

bool Msgpack::skip(Cursor& cursor, std::size_t max_depth) {
  return skip_msgpack(cursor, max_depth) == nullptr;
}

Status Msgpack::check(std::string_view document, std::size_t max_depth) {
  Cursor cursor{document.data(), document.data() + document.size()};
  Flaw flaw = skip_msgpack(cursor, max_depth);
  if (flaw == nullptr) {
    if (cursor.at_end()) return Status::ok();
    flaw = "something behind the end of the value";
  }
  std::string message = "data is not valid MessagePack: ";
  message += flaw;
  if (flaw == kTooDeep) message += " (at most " + std::to_string(max_depth) + " are allowed)";
  message += ", at byte " + std::to_string(document.size() - cursor.left());
  return malformed(std::move(message));
}

}  // namespace slipstream::wire
