#include "wire/message.h"

#include <array>
#include <charconv>
#include <cmath>

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

std::string_view words_for(ValueKind kind) noexcept {
  switch (kind) {
    case ValueKind::kString:
      return "a string";
    case ValueKind::kList:
      return "a list";
    case ValueKind::kObject:
      return "an object";
    case ValueKind::kTrue:
      return "true";
    case ValueKind::kFalse:
      return "false";
    case ValueKind::kNull:
      return "null";
    case ValueKind::kBinary:
      return "binary data";
    case ValueKind::kExtension:
      return "an extension";
    case ValueKind::kNone:
    case ValueKind::kNumber:
      break;
  }
  return "a number";
}

std::string describe_fault(Fault fault, DType dtype, ValueKind kind, const std::string& number) {
  const std::string expected = "expected " + std::string(expected_kind(dtype)) + ", got ";
  switch (fault) {
    case Fault::kNull:
      if (takes_missing(dtype)) return "null (a missing value), which this model does not accept";
      return expected + "null (a missing value)";
    case Fault::kNotFinite:
      return number + ", which this model does not accept";
    case Fault::kNotIntegral:
      return expected + number;
    case Fault::kBeyondType:
      return number + " is beyond " + std::string(dtype_name(dtype));
    default:
      break;
  }
  if (kind == ValueKind::kNumber && dtype == DType::kBool) return expected + number;
  return expected + std::string(words_for(kind));
}

std::string text_of_number(double value, bool is_float) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  std::array<char, 32> text;
  char* const end = text.data() + text.size();
  const auto written = is_float ? std::to_chars(text.data(), end, static_cast<float>(value))
                                : std::to_chars(text.data(), end, value);
  return {text.data(), written.ptr};
}

std::string counted(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace slipstream::wire
