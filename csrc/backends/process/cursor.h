// Cursor: bounds-checked reading of bytes that another process may be writing. Every value is
// copied out once. A failed read leaves the cursor failed, so checks may wait until the end.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

namespace slipstream::process {

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  // The next sizeof(T) bytes as a T; a zeroed T beyond the end.
  template <class T>
  [[nodiscard]] T read() noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const std::span<const std::byte> bytes = take(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  // The next `count` bytes; empty beyond the end.
  [[nodiscard]] std::span<const std::byte> take(std::size_t count) noexcept {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace slipstream::process
