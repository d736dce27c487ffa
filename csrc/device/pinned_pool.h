// PinnedPool: page-locked host memory in blocks that are taken and given back again and again.
//
// A device copies to and from page-locked memory by itself and at full speed; to lock pages takes
// milliseconds and stops the device. So it is done beforehand, or the first time that blocks of
// some size are needed, and what was locked once is kept. Sizes are classes, four to a doubling: a
// block is at most a quarter larger than what was asked for.
//
// When to use: for what a device copies, of which the owner may keep some for long (answers). When
// not: as a general allocator.
//
// Threads: any. Ownership: the pool is shared by its owner and by every block that is out, which
// may outlive the pipeline, the model and the backend's use of the device. Bounded: what is locked
// in all never exceeds the limit. Failure: take() gives nothing at the limit, or where the device
// refuses; whoever asks must do without.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "device/device.h"

namespace slipstream::device {

class PinnedPool : public std::enable_shared_from_this<PinnedPool> {
 public:
  [[nodiscard]] static std::shared_ptr<PinnedPool> create(std::shared_ptr<Device> device,
                                                          std::size_t limit_bytes);

  // At least that many bytes, aligned to 256; given back when the last owner goes. Null: there are
  // none.
  [[nodiscard]] std::shared_ptr<void> take(std::size_t bytes) noexcept;
  // What is free now, and what is given back later, is not kept any more.
  void close() noexcept;
  // Locks so many blocks more of that size, beforehand, as far as the limit goes.
  void reserve(std::size_t bytes, std::size_t count) noexcept;

  [[nodiscard]] std::size_t locked_bytes() const noexcept;

 private:
  struct Class {
    std::size_t block_bytes = 0;
    std::vector<std::unique_ptr<Block>> free;
    std::size_t blocks = 0;  // free, or out
  };

  PinnedPool(std::shared_ptr<Device> device, std::size_t limit_bytes);
  // The first two with the mutex.
  [[nodiscard]] Class& class_of(std::size_t bytes);
  [[nodiscard]] std::unique_ptr<Block> lock_block(Class& kind);
  [[nodiscard]] std::unique_ptr<Block> take_block(std::size_t bytes);
  void give_back(std::unique_ptr<Block> block) noexcept;

  const std::shared_ptr<Device> device_;
  const std::size_t limit_bytes_;
  mutable std::mutex mutex_;
  // With the mutex.
  std::vector<Class> classes_;  // those that were needed, smallest first
  std::size_t locked_bytes_ = 0;
  bool is_closed_ = false;
};

}  // namespace slipstream::device
