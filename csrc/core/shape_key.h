// The key under which times of executions are learned, and by which requests may share one.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace slipstream {

// FNV-1a over dtypes and inner dimensions (all dimensions where rows are not shared).
[[nodiscard]] inline std::uint64_t shape_key_of(std::span<const Tensor> inputs) noexcept {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325ULL;
  const auto mix = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100'0000'01b3ULL; };
  for (const Tensor& input : inputs) {
    mix(static_cast<std::uint64_t>(input.dtype()));
    for (std::size_t axis = 1; axis < input.shape().rank(); ++axis) {
      mix(static_cast<std::uint64_t>(input.shape()[axis]));
    }
  }
  return hash;
}

}  // namespace slipstream
