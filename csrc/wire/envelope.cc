#include "wire/envelope.h"

#include <cstddef>
#include <cstring>

#include "wire/cursor.h"
#include "wire/number.h"

namespace slipstream::wire {
namespace {

// Whether some byte of the word is `c`; exact about that, not about which one.
[[nodiscard]] constexpr std::uint64_t holds(std::uint64_t word, std::uint8_t c) noexcept {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  const std::uint64_t zeroed = word ^ (kEach * c);
  return (zeroed - kEach) & ~zeroed & (kEach * 0x80);
}

// The first bracket, brace or quote at or behind `next`.
[[nodiscard]] const char* skip_plain_values(const char* next, const char* end) noexcept {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  constexpr std::uint64_t kCaseBit = kEach * 0x20;  // makes '[' and '{' one, ']' and '}' another
  for (; end - next >= 8; next += 8) {
    std::uint64_t word;
    std::memcpy(&word, next, sizeof word);
    const std::uint64_t folded = word | kCaseBit;
    if ((holds(folded, '{') | holds(folded, '}') | holds(word, '"')) != 0) break;
  }
  for (; next != end; ++next) {
    const char folded = static_cast<char>(*next | 0x20);
    if (folded == '{' || folded == '}' || *next == '"') return next;
  }
  return end;
}

// Steps over a string without escapes; false if it has some, or does not end.
[[nodiscard]] bool skip_string(Cursor& cursor) noexcept {
  ++cursor.next;
  const auto* const quote = static_cast<const char*>(std::memchr(cursor.next, '"', cursor.left()));
  if (quote == nullptr ||
      std::memchr(cursor.next, '\\', static_cast<std::size_t>(quote - cursor.next)) != nullptr) {
    return false;
  }
  cursor.next = quote + 1;
  return true;
}

// Steps over a list or an object by its brackets: whether each closes its own kind, and whatever
// else is in it, is for whoever reads the values.
[[nodiscard]] bool take_data(Cursor& cursor, std::string_view& data) noexcept {
  const char* const begin = cursor.next;
  if (cursor.peek() != '[' && cursor.peek() != '{') return false;
  std::size_t depth = 0;
  for (;;) {
    cursor.next = skip_plain_values(cursor.next, cursor.end);
    if (cursor.at_end()) return false;
    const char c = *cursor.next;
    if (c == '"') {
      if (!skip_string(cursor)) return false;
      continue;
    }
    ++cursor.next;
    if (c == '[' || c == '{') {
      ++depth;
    } else if (--depth == 0) {
      break;
    }
  }
  data = {begin, static_cast<std::size_t>(cursor.next - begin)};
  return true;
}

// A string of printable ASCII without escapes.
[[nodiscard]] bool take_text(Cursor& cursor, std::string_view& text) noexcept {
  if (!take(cursor, '"')) return false;
  const char* const begin = cursor.next;
  for (; !cursor.at_end() && *cursor.next != '"'; ++cursor.next) {
    const char c = *cursor.next;
    if (c < 0x20 || c > 0x7e || c == '\\') return false;
  }
  text = {begin, static_cast<std::size_t>(cursor.next - begin)};
  return take(cursor, '"');
}

[[nodiscard]] bool take_bool(Cursor& cursor, bool& value) noexcept {
  if (take_literal(cursor, "true")) {
    value = true;
    return true;
  }
  value = false;
  return take_literal(cursor, "false");
}

[[nodiscard]] bool take_positive(Cursor& cursor, double& value) noexcept {
  const auto [next, fault] = parse_double(cursor.next, cursor.end, value);
  if (fault != Fault::kNone || !(value > 0)) return false;
  cursor.next = next;
  return true;
}

[[nodiscard]] bool take_count(Cursor& cursor, std::int64_t& value) noexcept {
  constexpr std::ptrdiff_t kMostDigits = 9;
  const char* const begin = cursor.next;
  if (cursor.peek() < '1' || cursor.peek() > '9') return false;
  value = 0;
  for (; cursor.peek() >= '0' && cursor.peek() <= '9'; ++cursor.next) {
    if (cursor.next - begin == kMostDigits) return false;
    value = value * 10 + (*cursor.next - '0');
  }
  // "5.0" and "5e1" are for the general reader.
  return cursor.peek() != '.' && (cursor.peek() | 0x20) != 'e';
}

enum Key : unsigned { kModelId, kData, kProbabilities, kTimeout, kBatchSize, kPriority, kUnknown };

[[nodiscard]] Key key_of(std::string_view name) noexcept {
  if (name == "data") return kData;
  if (name == "model_id") return kModelId;
  if (name == "return_probabilities") return kProbabilities;
  if (name == "timeout_ms") return kTimeout;
  if (name == "batch_size") return kBatchSize;
  if (name == "priority") return kPriority;
  return kUnknown;
}

[[nodiscard]] bool take_value(Cursor& cursor, Key key, PlainEnvelope& envelope) noexcept {
  switch (key) {
    case kData:
      return take_data(cursor, envelope.data);
    case kModelId:
      return take_text(cursor, envelope.model_id) && !envelope.model_id.empty();
    case kUnknown:
      return false;
    default:
      break;
  }
  if (take_literal(cursor, "null")) return true;  // as if it were not there
  switch (key) {
    case kProbabilities:
      return take_bool(cursor, envelope.wants_probabilities);
    case kTimeout:
      return take_positive(cursor, envelope.timeout_ms);
    case kBatchSize:
      return take_count(cursor, envelope.batch_size);
    default:
      return take_text(cursor, envelope.priority) && !envelope.priority.empty();
  }
}

}  // namespace

bool read_plain_envelope(std::string_view body, PlainEnvelope& envelope) noexcept {
  envelope = {};
  Cursor cursor{body.data(), body.data() + body.size()};
  unsigned seen = 0;
  skip_space(cursor);
  if (!take(cursor, '{')) return false;
  do {
    skip_space(cursor);
    std::string_view name;
    if (!take_text(cursor, name)) return false;
    const Key key = key_of(name);
    const unsigned bit = 1U << key;
    if ((seen & bit) != 0) return false;
    seen |= bit;
    skip_space(cursor);
    if (!take(cursor, ':')) return false;
    skip_space(cursor);
    if (!take_value(cursor, key, envelope)) return false;
    skip_space(cursor);
  } while (take(cursor, ','));
  if (!take(cursor, '}')) return false;
  skip_space(cursor);
  constexpr unsigned kNeeded = (1U << kData) | (1U << kModelId);
  return cursor.at_end() && (seen & kNeeded) == kNeeded;
}

}  // namespace slipstream::wire
