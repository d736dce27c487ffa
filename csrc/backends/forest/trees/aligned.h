// AlignedVector: a std::vector whose memory starts at a cache line, for vector loads.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace slipstream::forest {

template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() noexcept = default;
  template <class U>
  explicit(false) CacheLineAllocator(const CacheLineAllocator<U>& /*other*/) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t /*count*/) noexcept {
    ::operator delete(memory, kAlignment);
  }
  template <class U>
  [[nodiscard]] bool operator==(const CacheLineAllocator<U>& /*other*/) const noexcept {
    return true;
  }
};

template <class T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace slipstream::forest
