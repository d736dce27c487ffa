#include "core/shape.h"

namespace slipstream {

std::string to_string(std::span<const std::int64_t> dims) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (axis != 0) text += ", ";
    text += dims[axis] < 0 ? "?" : std::to_string(dims[axis]);
  }
  return text += ']';
}

}  // namespace slipstream
