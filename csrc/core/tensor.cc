#include "core/tensor.h"

#include <algorithm>
#include <new>
#include <utility>

namespace slipstream {
namespace {

// Destroys what Tensor::allocate made: the strings where there are any, then the memory.
struct BufferDeleter {
  std::pmr::memory_resource* memory;
  std::size_t bytes;
  std::size_t string_count;

  void operator()(void* data) const noexcept {
    std::destroy_n(static_cast<std::string*>(data), string_count);
    memory->deallocate(data, bytes, Tensor::kAlignment);
  }
};

}  // namespace

Tensor Tensor::allocate(DType dtype, Shape shape, std::pmr::memory_resource* memory) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  const std::size_t bytes = std::max<std::size_t>(tensor.bytes(), 1);
  const std::size_t string_count =
      dtype == DType::kString ? static_cast<std::size_t>(tensor.elements()) : 0;
  tensor.data_ = memory->allocate(bytes, kAlignment);
  std::uninitialized_default_construct_n(static_cast<std::string*>(tensor.data_), string_count);
  // The control block comes from the same resource, so a pooled resource makes this call
  // malloc-free.
  tensor.owner_ = std::shared_ptr<void>(tensor.data_, BufferDeleter{memory, bytes, string_count},
                                        std::pmr::polymorphic_allocator<std::byte>(memory));
  return tensor;
}

Tensor Tensor::wrap(DType dtype, Shape shape, void* data, std::shared_ptr<void> owner) noexcept {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.data_ = data;
  tensor.owner_ = std::move(owner);
  return tensor;
}

Tensor Tensor::slice_rows(std::int64_t begin, std::int64_t end) const {
  assert(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= rows());
  Tensor slice = *this;
  slice.shape_.set_dim(0, end - begin);
  slice.data_ = static_cast<std::byte*>(data_) + static_cast<std::size_t>(begin) * row_bytes();
  return slice;
}

}  // namespace slipstream
