// DType: the element types a tensor can carry. Values are stable: the process backend's
// wire format and the Python bindings write them as bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipstream {

enum class DType : std::uint8_t {
  kBool = 0,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kString,  // elements are std::string objects, UTF-8
};

inline constexpr int kDTypeCount = 14;

// Indexed by the enum's value.
inline constexpr std::array<std::uint8_t, kDTypeCount> kDTypeSizes{
    1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, sizeof(std::string)};

// Bytes per element as stored in a Tensor. For kString that is sizeof(std::string).
[[nodiscard]] constexpr std::size_t dtype_size(DType dtype) noexcept {
  return kDTypeSizes[static_cast<std::size_t>(dtype)];
}

// NumPy's name of the type: "float32", "int64", "bool", "bfloat16", "string", ...
[[nodiscard]] std::string_view dtype_name(DType dtype) noexcept;

// The inverse of dtype_name; nullopt for an unknown name.
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name) noexcept;

// A missing string (JSON null in a text column). A lone 0xFF byte is never valid UTF-8, so no
// client can send it and it needs no mask beside the tensor.
inline constexpr std::string_view kMissingString{"\xff", 1};

}  // namespace slipstream
