#include "core/batch/latency_model.h"

#include <bit>

namespace slipstream {

std::uint64_t LatencyModel::key_of(std::uint64_t shape_key, std::int64_t rows) noexcept {
  const auto bucket = static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint64_t>(rows)));
  // Fibonacci hashing spreads the bucket over the key; |1 keeps 0 for "free".
  return ((shape_key ^ bucket) * 0x9e37'79b9'7f4a'7c15ULL) | 1U;
}

const LatencyModel::Entry* LatencyModel::find(std::uint64_t key) const noexcept {
  for (std::size_t probe = 0; probe < kEntries; ++probe) {
    const Entry& entry = entries_[((key >> 32) + probe) % kEntries];
    const std::uint64_t found = entry.key.load(std::memory_order_acquire);  // pairs with observe()
    if (found == key || found == 0) return &entry;
  }
  return nullptr;
}

Nanoseconds LatencyModel::estimate_ns(std::uint64_t shape_key, std::int64_t rows) const noexcept {
  const std::uint64_t key = key_of(shape_key, rows);
  const Entry* const entry = find(key);
  if (entry == nullptr || entry->key.load(std::memory_order_acquire) != key) return 0;
  return entry->estimate_ns.value();
}

void LatencyModel::observe(std::uint64_t shape_key, std::int64_t rows,
                           Nanoseconds execute_ns) noexcept {
  const std::uint64_t key = key_of(shape_key, rows);
  auto* entry = const_cast<Entry*>(find(key));
  if (entry == nullptr) return;
  if (entry->key.load(std::memory_order_acquire) != key) {
    const std::scoped_lock lock(insert_mutex_);
    entry = const_cast<Entry*>(find(key));  // another thread may have taken the free entry
    if (entry == nullptr) return;
    if (entry->key.load(std::memory_order_acquire) == 0) {
      entry->estimate_ns.set(execute_ns);
      entry->key.store(key, std::memory_order_release);  // pairs with find()
      return;
    }
  }
  const Nanoseconds old = entry->estimate_ns.value();
  // Two instances may update at once and one observation be lost: an average does not mind.
  const Nanoseconds updated = execute_ns < old / 2
                                  ? execute_ns
                                  : old + (execute_ns - old) / (Nanoseconds{1} << kWeightShift);
  entry->estimate_ns.set(updated > 0 ? updated : 1);
}

}  // namespace slipstream
