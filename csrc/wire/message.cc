#include "wire/message.h"

#include "wire/number.h"
#include "wire/text.h"

namespace slipstream::wire {
namespace {

std::string_view expected_kind(DType dtype) noexcept {
  switch (dtype) {
    case DType::kBool:
      return "true or false";
    case DType::kString:
      return "a string";
    case DType::kFloat16:
    case DType::kBfloat16:
    case DType::kFloat32:
    case DType::kFloat64:
      return "a number";
    default:
      return "an integer";
  }
}

bool takes_missing(DType dtype) noexcept {
  const std::string_view kind = expected_kind(dtype);
  return kind == "a number" || kind == "a string";
}

// The number at the cursor, as it was written.
std::string number_text(const Cursor& cursor) {
  Decimal decimal;
  const char* const end = scan_number(cursor.next, cursor.end, decimal);
  if (end == nullptr) return "the number";
  return excerpt({cursor.next, static_cast<std::size_t>(end - cursor.next)});
}

}  // namespace

std::string excerpt(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::string result;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    const Utf8Step step = utf8_step(next, end);
    if (result.size() + step.length > kLongest) return result + "…";
    const auto first = static_cast<unsigned char>(*next);
    if (!step.valid || first < 0x20 || first == 0x7F) {
      result += '?';
    } else {
      result.append(next, step.length);
    }
    next += step.length;
  }
  return result;
}

std::string quoted(std::string_view text) {
  return "'" + excerpt(text) + "'";
}

std::string_view kind_of_value(const Cursor& cursor) noexcept {
  switch (cursor.peek()) {
    case '"':
      return "a string";
    case '[':
      return "a list";
    case '{':
      return "an object";
    case 't':
      return "true";
    case 'f':
      return "false";
    case 'n':
      return "null";
    default:
      return "a number";
  }
}

std::string describe_fault(Fault fault, DType dtype, const Cursor& cursor) {
  const std::string expected = "expected " + std::string(expected_kind(dtype)) + ", got ";
  switch (fault) {
    case Fault::kNull:
      if (takes_missing(dtype)) return "null (a missing value), which this model does not accept";
      return expected + "null (a missing value)";
    case Fault::kNotIntegral:
      return expected + number_text(cursor);
    case Fault::kBeyondType:
      return number_text(cursor) + " is beyond " + std::string(dtype_name(dtype));
    default:
      break;
  }
  const std::string_view kind = kind_of_value(cursor);
  if (kind == "a number" && dtype == DType::kBool) return expected + number_text(cursor);
  return expected + std::string(kind);
}

std::string counted(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace slipstream::wire
