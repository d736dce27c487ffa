// Values of a forest program: what an input or a step gives, described once and seen per block.
//
// Plain data. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace slipstream::forest {

inline constexpr std::uint32_t kMaxWidth = 1U << 20;

// float64, float32, int64, bool (inputs and their columns only) or string; `width` columns.
struct ValueType {
  DType dtype = DType::kFloat64;
  std::uint32_t width = 1;
  // Of int64 values: every element is known to be in [0, labels). 0: nothing is known. A table of
  // labels can so be checked once at load, and never while running.
  std::uint64_t labels = 0;

  [[nodiscard]] std::size_t row_bytes() const noexcept { return dtype_size(dtype) * width; }
};

// Some rows of a value: row-major, `stride` elements from one row to the next. A value that is a
// run of another's columns is such a view of it.
struct Columns {
  const void* data = nullptr;
  std::size_t stride = 0;

  template <class T>
  [[nodiscard]] const T* row(std::size_t index) const noexcept {
    return static_cast<const T*>(data) + index * stride;
  }
};

}  // namespace slipstream::forest
