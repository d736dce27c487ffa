#include "wire/input_schema.h"

namespace slipstream {

std::int64_t InputSchema::matrix_width() const noexcept {
  if (layout != Layout::kMatrix || inputs.size() != 1) return -1;
  const std::vector<std::int64_t>& dims = inputs.front().dims;
  std::int64_t width = 1;
  for (std::size_t axis = 1; axis < dims.size(); ++axis) {
    if (dims[axis] < 0 || __builtin_mul_overflow(width, dims[axis], &width)) return -1;
  }
  return width;
}

}  // namespace slipstream
