#include "core/dtype.h"

#include <array>

namespace slipstream {
namespace {

// Indexed by the enum's value.
constexpr std::array<std::string_view, kDTypeCount> kNames{
    "bool",   "int8",   "int16",   "int32",    "int64",   "uint8",   "uint16",
    "uint32", "uint64", "float16", "bfloat16", "float32", "float64", "string"};
static_assert(static_cast<int>(DType::kString) + 1 == kDTypeCount);

}  // namespace

std::string_view dtype_name(DType dtype) noexcept {
  return kNames[static_cast<std::size_t>(dtype)];
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace slipstream
