#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "wire/block_writer.h"
#include "wire/cell.h"
#include "wire/encode.h"
#include "wire/text.h"

namespace slipstream {
namespace wire {
namespace {

constexpr std::string_view kNil = "\xC0";

// The first byte and the number behind it, most significant byte first.
template <class Unsigned>
void put_bits(auto& writer, unsigned char first, Unsigned bits) {
  if constexpr (std::endian::native == std::endian::little) {
    if constexpr (sizeof bits == 2) bits = __builtin_bswap16(bits);
    if constexpr (sizeof bits == 4) bits = __builtin_bswap32(bits);
    if constexpr (sizeof bits == 8) bits = __builtin_bswap64(bits);
  }
  char* const room = writer.room();
  *room = static_cast<char>(first);
  std::memcpy(room + 1, &bits, sizeof bits);
  writer.wrote(room + 1 + sizeof bits);
}

// What has a size of at most `small` in its first byte, else one in 8 (if byte8 is not 0), 16 or 32
// bits behind it.
void put_size(auto& writer, std::uint64_t size, std::uint64_t small, unsigned char byte0,
              unsigned char byte8, unsigned char byte16) {
  if (size <= small) return writer.put(static_cast<char>(byte0 | size));
  if (byte8 != 0 && size <= 0xFF) return put_bits(writer, byte8, static_cast<std::uint8_t>(size));
  if (size <= 0xFFFF) return put_bits(writer, byte16, static_cast<std::uint16_t>(size));
  put_bits(writer, static_cast<unsigned char>(byte16 + 1), static_cast<std::uint32_t>(size));
}

struct MsgpackLists {
  static constexpr std::size_t kBytes = 5;

  static void open(auto& writer, std::int64_t size) {
    put_size(writer, static_cast<std::uint64_t>(size), 15, 0x90, 0, 0xDC);
  }
  static void between(auto& /*writer*/) {}
  static void close(auto& /*writer*/) {}
};

void put_unsigned(MemoryWriter& writer, std::uint64_t value) {
  if (value < 0x80) return writer.put(static_cast<char>(value));
  if (value <= 0xFF) return put_bits(writer, 0xCC, static_cast<std::uint8_t>(value));
  if (value <= 0xFFFF) return put_bits(writer, 0xCD, static_cast<std::uint16_t>(value));
  if (value <= 0xFFFFFFFF) return put_bits(writer, 0xCE, static_cast<std::uint32_t>(value));
  put_bits(writer, 0xCF, value);
}

void put_negative(MemoryWriter& writer, std::int64_t value) {
  if (value >= -32) return writer.put(static_cast<char>(value));
  if (value >= INT8_MIN) return put_bits(writer, 0xD0, static_cast<std::uint8_t>(value));
  if (value >= INT16_MIN) return put_bits(writer, 0xD1, static_cast<std::uint16_t>(value));
  if (value >= INT32_MIN) return put_bits(writer, 0xD2, static_cast<std::uint32_t>(value));
  put_bits(writer, 0xD3, static_cast<std::uint64_t>(value));
}

constexpr std::size_t kElementBytes = 9;  // the most that a number takes

template <class T>
void put_element(MemoryWriter& writer, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    writer.put(value ? '\xC3' : '\xC2');
  } else if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    if (!std::isfinite(value)) return writer.put(kNil);
    put_bits(writer, sizeof(T) == 8 ? 0xCB : 0xCA, std::bit_cast<Bits>(value));
  } else if constexpr (std::is_signed_v<T>) {
    if (value < 0) return put_negative(writer, value);
    put_unsigned(writer, static_cast<std::uint64_t>(value));
  } else if constexpr (std::is_unsigned_v<T>) {
    put_unsigned(writer, value);
  } else {
    put_element(writer, value.to_float());
  }
}

constexpr auto kPutNumber = [](MemoryWriter& writer, auto value) { put_element(writer, value); };

// The text with every broken sequence replaced by U+FFFD.
std::string repaired(std::string_view text) {
  std::string result;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    const Utf8Step step = utf8_step(next, end);
    if (step.valid) {
      result.append(next, step.length);
    } else {
      result += "\xEF\xBF\xBD";
    }
    next += step.length;
  }
  return result;
}

void put_string(BlockWriter& writer, std::string_view text) {
  if (text == kMissingString) return writer.put(kNil);
  if (!is_utf8(text)) return put_string(writer, repaired(text));
  put_size(writer, text.size(), 31, 0xA0, 0xD9, 0xDA);
  writer.put(text);
}

}  // namespace
}  // namespace wire

std::size_t numbers_bound_msgpack(const Tensor& tensor) {
  return wire::bound_of_lists(tensor, wire::kElementBytes, wire::MsgpackLists::kBytes);
}

char* encode_numbers_msgpack(const Tensor& tensor, char* out) noexcept {
  return wire::write_numbers<wire::MsgpackLists>(tensor, out, wire::kPutNumber);
}

void encode_tensor_msgpack(const Tensor& tensor, std::string& out) {
  const auto put_string = [](wire::BlockWriter& to, const std::string& text) {
    wire::put_string(to, text);
  };
  wire::append_tensor<wire::MsgpackLists>(tensor, out, numbers_bound_msgpack(tensor), put_string,
                                          wire::kPutNumber);
}

void encode_labels_msgpack(const Tensor& indices, std::span<const std::string> labels_msgpack,
                           std::string& out) {
  using namespace wire;
  visit_cell(indices.dtype(), [&](auto cell) {
    using T = typename decltype(cell)::Element;
    write_labels<MsgpackLists, T>(indices, labels_msgpack, kNil, out);
  });
}

}  // namespace slipstream
