// Two writers of short texts, and what writes nested lists with them. BlockWriter appends to a
// string in blocks, because appending each would check and move the string's size for every few
// bytes; flush() before the string is used. MemoryWriter writes into memory that is known to be
// enough.
//
// One object, one thread. Failure: std::bad_alloc, of BlockWriter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/tensor.h"
#include "wire/cell.h"

namespace slipstream::wire {

class BlockWriter {
 public:
  static constexpr std::size_t kLongest = 64;  // that room() gives: more than any number takes

  explicit BlockWriter(std::string& out) : out_(out) {}
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;
  ~BlockWriter() = default;

  void put(char c) {
    make_room(1);
    block_[used_++] = c;
  }
  void put(std::string_view text) {
    if (text.size() > kLongest) {
      flush();
      out_.append(text);
      return;
    }
    make_room(text.size());
    std::memcpy(block_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  // Where the next kLongest bytes can be written; wrote() then says up to where they were.
  [[nodiscard]] char* room() {
    make_room(kLongest);
    return block_.data() + used_;
  }
  void wrote(const char* end) noexcept { used_ = static_cast<std::size_t>(end - block_.data()); }

  // The string underneath, for a caller that appends to it directly.
  [[nodiscard]] std::string& flushed() {
    flush();
    return out_;
  }
  void flush() {
    out_.append(block_.data(), used_);
    used_ = 0;
  }

 private:
  static constexpr std::size_t kSize = 2048;

  void make_room(std::size_t bytes) {
    if (kSize - used_ < bytes) flush();
  }

  std::string& out_;
  std::size_t used_ = 0;
  std::array<char, kSize> block_;
};

class MemoryWriter {
 public:
  explicit MemoryWriter(char* out) noexcept : next_(out) {}

  void put(char c) noexcept { *next_++ = c; }
  void put(std::string_view text) noexcept {
    std::memcpy(next_, text.data(), text.size());
    next_ += text.size();
  }
  [[nodiscard]] char* room() noexcept { return next_; }
  void wrote(char* end) noexcept { next_ = end; }

 private:
  char* next_;
};

// How many bytes the tensor's lists take if an element takes so many and a list, around its
// elements, so many; and the room behind the last. Throws std::bad_alloc where no memory has as
// many: a shape without elements may have any number of lists.
[[nodiscard]] inline std::size_t bound_of_lists(const Tensor& tensor, std::size_t element,
                                                std::size_t list) {
  std::size_t bytes = BlockWriter::kLongest;
  std::size_t items = 1;
  bool is_too_large = false;
  const auto add = [&bytes, &is_too_large](std::size_t count, std::size_t each) {
    std::size_t product = 0;
    is_too_large |= __builtin_mul_overflow(count, each, &product) ||
                    __builtin_add_overflow(bytes, product, &bytes);
  };
  for (const std::int64_t dim : tensor.shape().dims()) {
    add(items, list);
    is_too_large |= __builtin_mul_overflow(items, static_cast<std::size_t>(dim), &items);
  }
  add(items, element);
  if (is_too_large || bytes > std::size_t{1} << 62) throw std::bad_alloc();
  return bytes;
}

// Writes the elements from `next` on as nested lists of dims[axis..]; returns what follows them.
// Lists::open(writer, size), between(writer) and close(writer) write what surrounds the elements.
template <class Lists, class Writer, class T, class WriteElement>
const T* write_lists(Writer& writer, const Shape& shape, std::size_t axis, const T* next,
                     const WriteElement& write) {
  if (axis == shape.rank()) {
    write(writer, *next);
    return next + 1;
  }
  Lists::open(writer, shape[axis]);
  for (std::int64_t i = 0; i < shape[axis]; ++i) {
    if (i > 0) Lists::between(writer);
    if (axis + 1 == shape.rank()) {
      write(writer, *next++);
    } else {
      next = write_lists<Lists>(writer, shape, axis + 1, next, write);
    }
  }
  Lists::close(writer);
  return next;
}

// A whole tensor of elements of type T.
template <class Lists, class T, class Writer, class WriteElement>
void write_tensor(const Tensor& tensor, Writer& writer, const WriteElement& write) {
  (void)write_lists<Lists>(writer, tensor.shape(), 0, reinterpret_cast<const T*>(tensor.data()),
                           write);
}

// A tensor of numbers to `out`, which has room for bound_of_lists(); returns where it ends.
template <class Lists, class WriteNumber>
char* write_numbers(const Tensor& tensor, char* out, const WriteNumber& write) noexcept {
  MemoryWriter writer(out);
  visit_cell(tensor.dtype(), [&](auto cell) {
    using T = typename decltype(cell)::Element;
    if constexpr (!std::is_same_v<T, std::string>) write_tensor<Lists, T>(tensor, writer, write);
  });
  return writer.room();
}

// Appends a tensor: of strings one by one, of numbers into room made at once.
template <class Lists, class WriteString, class WriteNumber>
void append_tensor(const Tensor& tensor, std::string& out, std::size_t numbers_bound,
                   const WriteString& write_string, const WriteNumber& write_number) {
  if (tensor.dtype() == DType::kString) {
    BlockWriter writer(out);
    write_tensor<Lists, std::string>(tensor, writer, write_string);
    return writer.flush();
  }
  const std::size_t before = out.size();
  out.resize(before + numbers_bound);
  char* const end = write_numbers<Lists>(tensor, out.data() + before, write_number);
  out.resize(static_cast<std::size_t>(end - out.data()));
}

// Each position in `indices` as labels[position], else as `missing`.
template <class Lists, class T>
void write_labels(const Tensor& indices, std::span<const std::string> labels,
                  std::string_view missing, std::string& out) {
  BlockWriter writer(out);
  write_tensor<Lists, T>(indices, writer, [labels, missing](BlockWriter& to, const T& position) {
    if constexpr (std::is_integral_v<T>) {
      bool inside = true;
      if constexpr (std::is_signed_v<T>) inside = position >= 0;
      inside = inside && static_cast<std::uint64_t>(position) < labels.size();
      to.put(inside ? std::string_view(labels[static_cast<std::size_t>(position)]) : missing);
    } else {
      to.put(missing);
    }
  });
  writer.flush();
}

}  // namespace slipstream::wire
