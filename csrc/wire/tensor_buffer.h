// TensorBuffer: a tensor whose size is not known until its last element has been read.
//
// Elements are appended by the caller into data(); reserve() moves them when room runs out.
// finish() hands the memory over under its final shape without copying, so the tensor may own more
// memory than it shows. Single-threaded; throws std::bad_alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <span>
#include <string>
#include <utility>

#include "core/tensor.h"

namespace slipstream::wire {

class TensorBuffer {
 public:
  TensorBuffer(DType dtype, std::pmr::memory_resource* memory) : dtype_(dtype), memory_(memory) {}

  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] std::byte* data() noexcept { return storage_.data(); }
  [[nodiscard]] std::int64_t capacity() const noexcept { return capacity_; }

  // Room for `capacity` elements, keeping the first `used`. Precondition: used <= capacity.
  void reserve(std::int64_t used, std::int64_t capacity) {
    Tensor larger = Tensor::allocate(dtype_, Shape{capacity}, memory_);
    if (used > 0) move_elements(static_cast<std::size_t>(used), larger);
    storage_ = std::move(larger);
    capacity_ = capacity;
  }

  // The first shape.elements() elements as a tensor of that shape.
  [[nodiscard]] Tensor finish(Shape shape) {
    return Tensor::wrap(dtype_, std::move(shape), storage_.data(), storage_.owner());
  }

 private:
  void move_elements(std::size_t count, Tensor& larger) {
    if (dtype_ == DType::kString) {
      const std::span<std::string> from = storage_.strings().first(count);
      std::move(from.begin(), from.end(), larger.strings().begin());
    } else {
      std::memcpy(larger.data(), storage_.data(), count * dtype_size(dtype_));
    }
  }

  DType dtype_;
  std::pmr::memory_resource* memory_;
  Tensor storage_;
  std::int64_t capacity_ = 0;
};

}  // namespace slipstream::wire
