// GraphMemory: libtorch's memory for what is recorded on one stream. Of target_cuda.cc only.
//
// CUDAGraph takes a pool of its own for each graph, or one that it is told. Graphs that are
// launched one after the other on one stream, and copy their results away by themselves, may have
// the same: an instance has dozens of them, and would have the intermediate results as often. A
// pool of libtorch's is there from its first user to its last, and not again after that, so this is
// one of the users, beside the graphs.
//
// A recording that fails leaves the pool as if it went on (before pytorch/pytorch#180395, as 2.11
// is), and one user too many (before #190348, as 2.13 is): libtorch then refuses to give back any
// memory, and keeps that of the pool for good. undo() puts right whatever the installed one leaves.
//
// Threads: one at a time. Ownership: shared by the stream and its graphs. Failure: the constructor
// throws what libtorch throws.
#pragma once

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <memory>
#include <utility>

namespace slipstream::libtorch {

class GraphMemory {
 public:
  using Id = decltype(at::cuda::graph_pool_handle());

  explicit GraphMemory(c10::DeviceIndex device)
      : device_(device), id_(at::cuda::graph_pool_handle()) {
    // An allocator that has no pools (cudaMallocAsync) has no users of them either.
    attempt([this] { c10::cuda::CUDACachingAllocator::createOrIncrefPool(device_, id_); });
    with_host([this](auto& allocator) {
      allocator.begin_allocate_to_pool(id_, [](c10::Stream) { return false; });
      allocator.end_allocate_to_pool(id_);
    });
  }
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;
  ~GraphMemory() { release(); }

  [[nodiscard]] Id id() const noexcept { return id_; }

  // Before a recording begins.
  void remember_users() noexcept { users_ = users(); }
  // That recording failed, while it began or when it ended; nothing is recorded on the stream.
  void undo(std::unique_ptr<at::cuda::CUDAGraph> graph) noexcept {
    // Before the graph goes, since the allocators ask it whose memory they are asked for.
    attempt([this] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device_, id_); });
    with_host([this](auto& allocator) { allocator.end_allocate_to_pool(id_); });
    graph.reset();
    for (int left = users() - users_; left > 0; --left) release();
  }

 private:
  // What libtorch throws here says that there is nothing to be done.
  template <class Work>
  static bool attempt(const Work& work) noexcept {
    try {
      work();
      return true;
    } catch (...) {
      return false;
    }
  }

  // Page-locked memory has pools as well, in a libtorch that is new enough.
  template <class Work>
  static void with_host(const Work& work) noexcept {
    attempt([&work] { with_pools(*at::getHostAllocator(at::kCUDA), work); });
  }
  template <class Allocator, class Work>
  static void with_pools(Allocator& allocator, const Work& work) {
    if constexpr (requires(Id id) { allocator.release_pool(id); }) work(allocator);
  }

  [[nodiscard]] int users() const noexcept {
    int count = 0;
    attempt([&] { count = c10::cuda::CUDACachingAllocator::getPoolUseCount(device_, id_); });
    return count;
  }
  void release() noexcept {
    attempt([this] { c10::cuda::CUDACachingAllocator::releasePool(device_, id_); });
    with_host([this](auto& allocator) { allocator.release_pool(id_); });
  }

  const c10::DeviceIndex device_;
  const Id id_;
  int users_ = 0;
};

}  // namespace slipstream::libtorch
