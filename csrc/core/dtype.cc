#include "core/dtype.h"

#include <array>
#include <string>

namespace slipstream {
namespace {

struct DTypeTraits {
  std::string_view name;
  std::size_t size;
};

// Indexed by the enum's value.
constexpr std::array<DTypeTraits, kDTypeCount> kTraits{{{"bool", 1},
                                                        {"int8", 1},
                                                        {"int16", 2},
                                                        {"int32", 4},
                                                        {"int64", 8},
                                                        {"uint8", 1},
                                                        {"uint16", 2},
                                                        {"uint32", 4},
                                                        {"uint64", 8},
                                                        {"float16", 2},
                                                        {"bfloat16", 2},
                                                        {"float32", 4},
                                                        {"float64", 8},
                                                        {"string", sizeof(std::string)}}};
static_assert(static_cast<int>(DType::kString) + 1 == kDTypeCount);

}  // namespace

std::size_t dtype_size(DType dtype) noexcept {
  return kTraits[static_cast<std::size_t>(dtype)].size;
}

std::string_view dtype_name(DType dtype) noexcept {
  return kTraits[static_cast<std::size_t>(dtype)].name;
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace slipstream
