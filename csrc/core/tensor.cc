#include "core/tensor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace slipstream {
namespace {

// The memory of one tensor: room for the count of its owners, then its elements. One allocation,
// and one of an alignment that every allocator is quick at: small answers are made by the hundred
// thousand.
struct Block {
  static constexpr std::size_t kOwnersBytes = 96;
  static constexpr std::size_t kBlockAlignment = alignof(std::max_align_t);

  std::pmr::memory_resource* memory;
  std::byte* begin;
  std::size_t bytes;

  [[nodiscard]] static Block allocate(std::size_t data_bytes, std::pmr::memory_resource* memory) {
    const std::size_t bytes = kOwnersBytes + Tensor::kAlignment + data_bytes;
    return {memory, static_cast<std::byte*>(memory->allocate(bytes, kBlockAlignment)), bytes};
  }
  [[nodiscard]] void* data() const noexcept {
    const auto after = reinterpret_cast<std::uintptr_t>(begin) + kOwnersBytes;
    const std::uintptr_t aligned = (after + Tensor::kAlignment - 1) / Tensor::kAlignment;
    return begin + (aligned * Tensor::kAlignment - reinterpret_cast<std::uintptr_t>(begin));
  }
};

// Gives std::shared_ptr the room at the head of the block, and frees the block when the count goes.
template <class T>
struct OwnersAllocator {
  using value_type = T;
  Block block;

  explicit OwnersAllocator(Block of) noexcept : block(of) {}
  template <class U>
  explicit(false) OwnersAllocator(const OwnersAllocator<U>& other) noexcept : block(other.block) {}

  [[nodiscard]] T* allocate(std::size_t /*one*/) noexcept {
    static_assert(sizeof(T) <= Block::kOwnersBytes && alignof(T) <= Block::kBlockAlignment);
    return reinterpret_cast<T*>(block.begin);
  }
  void deallocate(T* /*owners*/, std::size_t /*one*/) noexcept {
    block.memory->deallocate(block.begin, block.bytes, Block::kBlockAlignment);
  }
  template <class U>
  [[nodiscard]] bool operator==(const OwnersAllocator<U>& other) const noexcept {
    return block.begin == other.block.begin;
  }
};

// Ends the elements; their memory goes with the count of owners.
struct ElementsDeleter {
  std::size_t string_count;
  void operator()(void* data) const noexcept {
    std::destroy_n(static_cast<std::string*>(data), string_count);
  }
};

}  // namespace

Tensor::Tensor(DType dtype, Shape shape, std::pmr::memory_resource* memory)
    : dtype_(dtype), shape_(std::move(shape)) {
  const std::size_t string_count =
      dtype == DType::kString ? static_cast<std::size_t>(elements()) : 0;
  const Block block = Block::allocate(bytes(), memory);
  data_ = block.data();
  std::uninitialized_default_construct_n(static_cast<std::string*>(data_), string_count);
  owner_ = std::shared_ptr<void>(data_, ElementsDeleter{string_count},
                                 OwnersAllocator<std::byte>(block));
}

Tensor Tensor::wrap(DType dtype, Shape shape, void* data, std::shared_ptr<void> owner) noexcept {
  // A tensor without data is none: an output that nobody asked for. One without elements is there,
  // and may come as null from whoever made it.
  alignas(kAlignment) static std::byte nothing{};
  Tensor tensor(dtype, std::move(shape));
  tensor.data_ = data == nullptr && tensor.elements() == 0 ? &nothing : data;
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
