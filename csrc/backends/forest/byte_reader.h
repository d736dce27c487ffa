// ByteReader: numbers and slices out of bytes nobody vouches for.
//
// A read past the end gives zeros or an empty span, and ok() is false from then on, so that a
// parser reads a record straight through and looks once. Threads: one. Ownership: refers to the
// bytes. Failure: ok(); nothing throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace slipstream::forest {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - position_; }

  // `count` bytes; empty past the end.
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t count) noexcept {
    if (count > left()) {
      ok_ = false;
      position_ = bytes_.size();
      return {};
    }
    const std::size_t from = position_;
    position_ += static_cast<std::size_t>(count);
    return bytes_.subspan(from, static_cast<std::size_t>(count));
  }

  template <class T>
    requires std::is_arithmetic_v<T>
  [[nodiscard]] T number() noexcept {
    T value{};
    const std::span<const std::byte> raw = take(sizeof value);
    if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  [[nodiscard]] std::uint32_t u32() noexcept { return number<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() noexcept { return number<std::uint64_t>(); }

  [[nodiscard]] std::string_view text(std::uint64_t count) noexcept {
    const std::span<const std::byte> raw = take(count);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

  // Skips the zeros up to the next multiple of `alignment`; anything else there is a failure.
  void align(std::size_t alignment) noexcept {
    while (ok_ && position_ % alignment != 0) {
      if (number<std::uint8_t>() != 0) ok_ = false;
    }
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace slipstream::forest
