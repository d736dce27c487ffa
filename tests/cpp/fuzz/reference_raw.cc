#include "fuzz/reference_raw.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/dtype.h"
#include "wire/half.h"

namespace reference {
namespace {

using slipstream::DType;
using slipstream::wire::Bfloat16;
using slipstream::wire::Float16;
using Kind = Node::Kind;

void require(bool condition) {
  if (!condition) throw Wrong{};
}

// One element of a raw tensor.
template <class T>
Node number_node(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  if constexpr (std::is_integral_v<T>) {
    return {Kind::kNumber, std::to_string(value), {}, {}};
  } else if constexpr (std::is_floating_point_v<T>) {
    return {Kind::kNumber, number_text(static_cast<double>(value)), {}, {}};
  } else {
    return {Kind::kNumber, number_text(static_cast<double>(value.to_float())), {}, {}};
  }
}

Node raw_number(DType dtype, std::string_view bytes) {
  switch (dtype) {
    case DType::kBool:
      if (bytes[0] != 0 && bytes[0] != 1) return {Kind::kOther, {}, {}, {}};
      return {bytes[0] == 0 ? Kind::kFalse : Kind::kTrue, {}, {}, {}};
    case DType::kInt8:
      return number_node<std::int8_t>(bytes);
    case DType::kInt16:
      return number_node<std::int16_t>(bytes);
    case DType::kInt32:
      return number_node<std::int32_t>(bytes);
    case DType::kInt64:
      return number_node<std::int64_t>(bytes);
    case DType::kUint8:
      return number_node<std::uint8_t>(bytes);
    case DType::kUint16:
      return number_node<std::uint16_t>(bytes);
    case DType::kUint32:
      return number_node<std::uint32_t>(bytes);
    case DType::kUint64:
      return number_node<std::uint64_t>(bytes);
    case DType::kFloat16:
      return number_node<Float16>(bytes);
    case DType::kBfloat16:
      return number_node<Bfloat16>(bytes);
    case DType::kFloat32:
      return number_node<float>(bytes);
    default:
      return number_node<double>(bytes);
  }
}

}  // namespace

// By moving the number's point in text.
std::optional<std::string> integer_text(const std::string& number) {
  if (number.find_first_of("ni") != std::string::npos) return std::nullopt;  // nan, inf
  const bool negative = number[0] == '-';
  const std::size_t e = std::min(number.find_first_of("eE"), number.size());
  const std::string mantissa = number.substr(negative ? 1 : 0, e - (negative ? 1 : 0));
  std::string whole = mantissa.substr(0, mantissa.find('.'));
  std::string fraction = mantissa.size() > whole.size() ? mantissa.substr(whole.size() + 1) : "";
  if ((whole + fraction).find_first_not_of('0') == std::string::npos) return "0";
  constexpr long kFar = 5000;  // no document of the fuzzer has as many zeros
  long exponent = e == number.size() ? 0 : std::strtol(number.c_str() + e + 1, nullptr, 10);
  exponent = std::clamp(exponent, -kFar, kFar);
  for (long i = 0; i < exponent; ++i) {
    whole += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (long i = 0; i < -exponent; ++i) {
    fraction.insert(0, 1, whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  if (fraction.find_first_not_of('0') != std::string::npos) return std::nullopt;
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  return (negative ? "-" : "") + whole;
}

std::string number_text(double value) {
  char text[64];
  const bool is_integer = std::trunc(value) == value && std::fabs(value) < 1e25;
  std::snprintf(text, sizeof text, is_integer ? "%.0f" : "%.17g", value);
  return text;
}

Node lists_of_raw(std::string_view bytes, std::string_view dtype,
                  const std::vector<std::int64_t>& dims, std::size_t rank) {
  const auto known = slipstream::dtype_from_name(dtype);
  require(known && *known != DType::kString && dims.size() == rank);
  __extension__ using Wide = unsigned __int128;
  Wide elements = 1;
  Wide bound = 1;
  for (const std::int64_t dim : dims) {
    require(dim >= 0);
    elements *= static_cast<Wide>(dim);
    bound *= static_cast<Wide>(std::max<std::int64_t>(dim, 1));
    require(bound <= static_cast<Wide>(std::numeric_limits<std::int64_t>::max()));
  }
  const std::size_t size = slipstream::dtype_size(*known);
  require(elements * size == bytes.size());
  if (elements == 0) throw Open{};
  std::vector<Node> items;
  for (std::size_t at = 0; at < bytes.size(); at += size) {
    items.push_back(raw_number(*known, bytes.substr(at, size)));
  }
  for (std::size_t axis = dims.size(); axis-- > 0;) {
    const auto length = static_cast<std::ptrdiff_t>(dims[axis]);
    std::vector<Node> lists;
    for (auto next = items.begin(); next != items.end(); next += length) {
      lists.push_back({Kind::kList, {}, {next, next + length}, {}});
    }
    items = std::move(lists);
  }
  return items.front();
}

}  // namespace reference
