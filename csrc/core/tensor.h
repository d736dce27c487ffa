// Tensor: a typed, shaped, row-major contiguous view of memory and a share in whoever owns it.
// Copying a Tensor copies the view, never the elements; the memory lives until its last view goes.
// Several threads may read one Tensor; writing elements is for the thread that allocated it.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <utility>

#include "core/dtype.h"
#include "core/shape.h"

namespace slipstream {

class Tensor {
 public:
  // Not defaulted: `Tensor()` would then clear the whole object before its members do.
  Tensor() noexcept : dtype_(DType::kFloat32) {}

  // Uninitialised memory from `memory` (empty strings for kString), aligned to kAlignment bytes.
  // `memory` must outlive every view of the tensor. Throws std::bad_alloc.
  Tensor(DType dtype, Shape shape, std::pmr::memory_resource* memory);
  [[nodiscard]] static Tensor allocate(
      DType dtype, Shape shape,
      std::pmr::memory_resource* memory = std::pmr::new_delete_resource()) {
    return {dtype, std::move(shape), memory};
  }

  // A view of memory somebody else laid out; `owner` keeps it alive (may be null for static
  // memory). `data` may be null where there are no elements: data() is not null then.
  [[nodiscard]] static Tensor wrap(DType dtype, Shape shape, void* data,
                                   std::shared_ptr<void> owner) noexcept;

  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::int64_t elements() const noexcept { return shape_.elements(); }
  // Size of the first dimension; 1 for a scalar, which is one row of itself.
  [[nodiscard]] std::int64_t rows() const noexcept { return shape_.rank() == 0 ? 1 : shape_[0]; }
  [[nodiscard]] std::size_t row_bytes() const noexcept {
    return static_cast<std::size_t>(shape_.elements_per_row()) * dtype_size(dtype_);
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(elements()) * dtype_size(dtype_);
  }

  [[nodiscard]] std::byte* data() noexcept { return static_cast<std::byte*>(data_); }
  [[nodiscard]] const std::byte* data() const noexcept {
    return static_cast<const std::byte*>(data_);
  }
  template <class T>
  [[nodiscard]] std::span<T> as() noexcept {
    assert(sizeof(T) == dtype_size(dtype_));
    return {static_cast<T*>(data_), static_cast<std::size_t>(elements())};
  }
  template <class T>
  [[nodiscard]] std::span<const T> as() const noexcept {
    assert(sizeof(T) == dtype_size(dtype_));
    return {static_cast<const T*>(data_), static_cast<std::size_t>(elements())};
  }
  [[nodiscard]] std::span<std::string> strings() noexcept { return as<std::string>(); }
  [[nodiscard]] std::span<const std::string> strings() const noexcept { return as<std::string>(); }

  // Rows [begin, end) as a view that shares the memory. Precondition: rank >= 1, begin <= end <=
  // rows.
  [[nodiscard]] Tensor slice_rows(std::int64_t begin, std::int64_t end) const;

  [[nodiscard]] const std::shared_ptr<void>& owner() const noexcept { return owner_; }

  // Whether its memory is page-locked, so that a device copies from it by itself and at full speed.
  // Who made it so says so; views of it are then, too.
  [[nodiscard]] bool is_pinned() const noexcept { return is_pinned_; }
  void set_pinned() noexcept { is_pinned_ = true; }

  static constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector register

 private:
  Tensor(DType dtype, Shape shape) noexcept : dtype_(dtype), shape_(std::move(shape)) {}

  DType dtype_;
  bool is_pinned_ = false;
  Shape shape_{0};
  void* data_ = nullptr;
  std::shared_ptr<void> owner_;
};

}  // namespace slipstream
