// Tensors as bytes inside MessagePack: {"dtype": "float32", "shape": [2, 3], "data": <24 bytes>}.
#include <limits>

#include "wire/msgpack.h"

namespace slipstream::wire {
namespace {

bool read_dims(Cursor& cursor, std::vector<std::int64_t>& dims) {
  Msgpack::Frame list;
  if (!Msgpack::open_list(cursor, list)) return false;
  if (!Msgpack::has_item(cursor, list)) return true;
  do {
    Integer dim;
    if (Msgpack::read_integer(cursor, dim) != Fault::kNone) return false;
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (dim.magnitude > kLargest) return false;
    const auto magnitude = static_cast<std::int64_t>(dim.magnitude);
    dims.push_back(dim.negative ? -magnitude : magnitude);
  } while (Msgpack::next_item(cursor, list) == Next::kItem);
  return true;
}

bool read_bytes(Cursor& cursor, std::string_view& bytes) noexcept {
  const MsgpackHead head = Msgpack::head(cursor);
  if (head.kind != ValueKind::kBinary) return false;
  bytes = {head.body, static_cast<std::size_t>(head.bits)};
  cursor.next = head.body + head.bits;
  return true;
}

}  // namespace

RawForm Msgpack::read_raw(Cursor& cursor, RawTensor& raw) {
  constexpr std::uint64_t kMembers = 3;
  Cursor ahead = cursor;
  Frame object;
  if (!open_object(ahead, object) || object.left != kMembers) return RawForm::kNone;
  unsigned seen = 0;
  std::string scratch;
  bool good = true;
  while (good && has_member(ahead, object)) {
    std::string_view key;
    if (read_text(ahead, scratch, key) != Fault::kNone) return RawForm::kNone;
    unsigned bit = 0;
    if (key == "dtype") {
      bit = 1;
      good = read_text(ahead, scratch, raw.dtype) == Fault::kNone;
    } else if (key == "shape") {
      bit = 2;
      good = read_dims(ahead, raw.dims);
    } else if (key == "data") {
      bit = 4;
      good = read_bytes(ahead, raw.bytes);
    } else {
      return RawForm::kNone;
    }
    if ((seen & bit) != 0) return RawForm::kWrong;
    seen |= bit;
  }
  if (!good) return RawForm::kWrong;
  cursor = ahead;
  return RawForm::kRead;
}

}  // namespace slipstream::wire
