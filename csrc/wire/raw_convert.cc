#include "wire/raw_convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "wire/cell.h"
#include "wire/message.h"

namespace slipstream::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "raw tensors are read as they lie");

template <class T>
T load(const char* bytes) noexcept {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Calls visit(Number{}) with the type that the elements of a raw tensor have; bools are bytes,
// because a byte of 2 is no bool.
template <class Visitor>
decltype(auto) visit_number(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::kInt8:
      return visit(std::int8_t{});
    case DType::kInt16:
      return visit(std::int16_t{});
    case DType::kInt32:
      return visit(std::int32_t{});
    case DType::kInt64:
      return visit(std::int64_t{});
    case DType::kUint16:
      return visit(std::uint16_t{});
    case DType::kUint32:
      return visit(std::uint32_t{});
    case DType::kUint64:
      return visit(std::uint64_t{});
    case DType::kFloat16:
      return visit(Float16{});
    case DType::kBfloat16:
      return visit(Bfloat16{});
    case DType::kFloat32:
      return visit(float{});
    case DType::kFloat64:
      return visit(double{});
    case DType::kBool:
    case DType::kUint8:
    case DType::kString:
      break;
  }
  return visit(std::uint8_t{});
}

template <class From, class Cell>
Stop convert_run(const RawRun& run) noexcept {
  using To = typename Cell::Element;
  To* const to = reinterpret_cast<To*>(run.to);
  if constexpr (std::is_same_v<To, double> && std::is_floating_point_v<From>) {
    // What callers have for models in double precision; nothing can go wrong with it.
    if (run.accepts_missing && run.from_stride == 1 && run.to_stride == 1) {
      for (std::int64_t i = 0; i < run.count; ++i) {
        to[i] = load<From>(run.from + static_cast<std::size_t>(i) * sizeof(From));
      }
      return {};
    }
  }
  for (std::int64_t i = 0; i < run.count; ++i) {
    const auto place = static_cast<std::size_t>(i);
    const From number = load<From>(run.from + place * run.from_stride * sizeof(From));
    const Fault fault = Cell::convert(number, to[place * run.to_stride], run.accepts_missing);
    if (fault != Fault::kNone) [[unlikely]]
      return {i, fault};
  }
  return {};
}

template <class T>
bool is_unfit(T number) noexcept {
  if constexpr (std::is_integral_v<T>) {
    return number > 1;
  } else {
    return !std::isfinite(widened(number));
  }
}

template <class T>
Stop search(std::string_view all) noexcept {
  const char* const bytes = all.data();
  const auto count = static_cast<std::int64_t>(all.size() / sizeof(T));
  constexpr std::int64_t kBlock = 1024;  // without a branch inside, for the vectorizer
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t end = std::min(begin + kBlock, count);
    bool any = false;
    for (std::int64_t i = begin; i < end; ++i) {
      any |= is_unfit(load<T>(bytes + static_cast<std::size_t>(i) * sizeof(T)));
    }
    if (!any) continue;
    for (std::int64_t i = begin; i < end; ++i) {
      if (is_unfit(load<T>(bytes + static_cast<std::size_t>(i) * sizeof(T)))) {
        return {i, std::is_integral_v<T> ? Fault::kWrongKind : Fault::kNotFinite};
      }
    }
  }
  return {};
}

}  // namespace

Stop convert_raw(DType from, DType to, const RawRun& run) noexcept {
  return visit_number(from, [to, &run](auto number) {
    return visit_cell(to, [&run](auto cell) -> Stop {
      if constexpr (std::is_same_v<decltype(cell), StringCell>) {
        return {0, Fault::kWrongKind};
      } else {
        return convert_run<decltype(number), decltype(cell)>(run);
      }
    });
  });
}

Stop first_unfit(DType dtype, std::string_view bytes) noexcept {
  return visit_number(dtype, [=](auto number) { return search<decltype(number)>(bytes); });
}

std::string raw_number_text(DType dtype, const char* bytes) {
  return visit_number(dtype, [=](auto number) {
    using Number = decltype(number);
    number = load<Number>(bytes);
    if constexpr (std::is_integral_v<Number>) return std::to_string(number);
    return text_of_number(widened(number), !std::is_same_v<Number, double>);
  });
}

}  // namespace slipstream::wire
