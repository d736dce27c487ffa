#include "device/pinned_pool.h"

#include <algorithm>
#include <bit>
#include <exception>
#include <new>
#include <utility>

namespace slipstream::device {
namespace {

constexpr std::size_t kSmallestBytes = 1024;

// The class of so many bytes: a power of two, or one, two or three quarters above it.
std::size_t class_bytes(std::size_t bytes) noexcept {
  if (bytes <= kSmallestBytes) return kSmallestBytes;
  const std::size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

}  // namespace

std::shared_ptr<PinnedPool> PinnedPool::create(std::shared_ptr<Device> device,
                                               std::size_t limit_bytes) {
  return std::shared_ptr<PinnedPool>(new PinnedPool(std::move(device), limit_bytes));
}

PinnedPool::PinnedPool(std::shared_ptr<Device> device, std::size_t limit_bytes)
    : device_(std::move(device)), limit_bytes_(limit_bytes) {}

std::shared_ptr<void> PinnedPool::take(std::size_t bytes) noexcept {
  try {
    std::unique_ptr<Block> block = take_block(bytes);
    if (block == nullptr) return nullptr;
    void* const address = block->address();
    Block* const held = block.release();  // whose owner gives it back, also where none can be made
    return {address, [pool = shared_from_this(), held](void* /*address*/) {
              pool->give_back(std::unique_ptr<Block>(held));
            }};
  } catch (const std::exception&) {
    return nullptr;
  }
}

std::unique_ptr<Block> PinnedPool::take_block(std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  Class& kind = class_of(bytes);
  if (kind.free.empty()) return lock_block(kind);
  std::unique_ptr<Block> block = std::move(kind.free.back());
  kind.free.pop_back();
  return block;
}

void PinnedPool::reserve(std::size_t bytes, std::size_t count) noexcept {
  try {
    const std::scoped_lock lock(mutex_);
    Class& kind = class_of(bytes);
    for (std::size_t i = 0; i < count; ++i) {
      if (locked_bytes_ + kind.block_bytes > limit_bytes_) return;  // nothing makes room for it
      std::unique_ptr<Block> block = lock_block(kind);
      if (block == nullptr) return;
      kind.free.push_back(std::move(block));
    }
  } catch (const std::bad_alloc&) {
    return;  // no more of them, then
  }
}

std::size_t PinnedPool::locked_bytes() const noexcept {
  const std::scoped_lock lock(mutex_);
  return locked_bytes_;
}

PinnedPool::Class& PinnedPool::class_of(std::size_t bytes) {
  const std::size_t wanted = class_bytes(bytes);
  auto found = std::ranges::lower_bound(classes_, wanted, {}, &Class::block_bytes);
  if (found == classes_.end() || found->block_bytes != wanted) {
    found = classes_.insert(found, Class{.block_bytes = wanted, .free = {}, .blocks = 0});
  }
  return *found;
}

// A block more. Where that is above the limit, unused ones of other sizes make room.
std::unique_ptr<Block> PinnedPool::lock_block(Class& kind) {
  const std::size_t bytes = kind.block_bytes;
  if (bytes > limit_bytes_) return nullptr;
  for (auto other = classes_.rbegin(); other != classes_.rend(); ++other) {
    while (locked_bytes_ + bytes > limit_bytes_ && !other->free.empty()) {
      other->free.pop_back();
      --other->blocks;
      locked_bytes_ -= other->block_bytes;
    }
  }
  if (locked_bytes_ + bytes > limit_bytes_) return nullptr;
  kind.free.reserve(kind.blocks + 1);  // so that giving one back never allocates
  Result<std::unique_ptr<Block>> made = device_->allocate_pinned(bytes);
  if (!made.is_ok()) return nullptr;
  ++kind.blocks;
  locked_bytes_ += bytes;
  return std::move(made).value();
}

void PinnedPool::close() noexcept {
  const std::scoped_lock lock(mutex_);
  is_closed_ = true;
  for (Class& kind : classes_) {
    kind.blocks -= kind.free.size();
    locked_bytes_ -= kind.free.size() * kind.block_bytes;
    kind.free.clear();
  }
}

void PinnedPool::give_back(std::unique_ptr<Block> block) noexcept {
  const std::scoped_lock lock(mutex_);
  const auto kind = std::ranges::lower_bound(classes_, block->bytes(), {}, &Class::block_bytes);
  if (is_closed_) {
    --kind->blocks;
    locked_bytes_ -= kind->block_bytes;
    return;
  }
  kind->free.push_back(std::move(block));
}

}  // namespace slipstream::device
