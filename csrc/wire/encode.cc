#include "wire/encode.h"

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "wire/half.h"
#include "wire/text.h"

namespace slipstream {
namespace wire {
namespace {

// Collects short texts and appends them to the string in blocks: appending each would check and
// move the string's size for every few bytes.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() = default;

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
  template <std::integral T>
  void put_number(T value) {
    make_room(kLongest);
    const auto [end, error] = std::to_chars(block_.data() + used_, block_.data() + kSize, value);
    used_ = static_cast<std::size_t>(end - block_.data());
  }
  template <std::floating_point T>
  void put_number(T value) {
    if (!std::isfinite(value)) return put("null");
    make_room(kLongest);
    char* const begin = block_.data() + used_;
    const auto [end, error] = std::to_chars(begin, block_.data() + kSize, value);
    used_ = static_cast<std::size_t>(end - block_.data());
    // "3" would come back as an integer.
    const auto length = static_cast<std::size_t>(end - begin);
    if (std::string_view(begin, length).find_first_of(".e") == std::string_view::npos) put(".0");
  }
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
  static constexpr std::size_t kLongest = 64;  // of any number

  void make_room(std::size_t bytes) {
    if (kSize - used_ < bytes) flush();
  }

  std::string& out_;
  std::size_t used_ = 0;
  std::array<char, kSize> block_;
};

// Writes the elements from `next` on as nested lists of dims[axis..]; returns what follows them.
template <class T, class WriteElement>
const T* write_lists(Writer& writer, const Shape& shape, std::size_t axis, const T* next,
                     const WriteElement& write) {
  if (axis == shape.rank()) {
    write(writer, *next);
    return next + 1;
  }
  writer.put('[');
  for (std::int64_t i = 0; i < shape[axis]; ++i) {
    if (i > 0) writer.put(',');
    if (axis + 1 == shape.rank()) {
      write(writer, *next++);
    } else {
      next = write_lists(writer, shape, axis + 1, next, write);
    }
  }
  writer.put(']');
  return next;
}

template <class T, class WriteElement>
void write_tensor(const Tensor& tensor, std::string& out, const WriteElement& write) {
  Writer writer(out);
  (void)write_lists(writer, tensor.shape(), 0, reinterpret_cast<const T*>(tensor.data()), write);
  writer.flush();
}

template <class T>
void write_numbers(const Tensor& tensor, std::string& out) {
  write_tensor<T>(tensor, out, [](Writer& writer, T value) { writer.put_number(value); });
}

template <class T>
void write_small_floats(const Tensor& tensor, std::string& out) {
  write_tensor<T>(tensor, out,
                  [](Writer& writer, T value) { writer.put_number(value.to_float()); });
}

template <class T>
void write_labels(const Tensor& indices, std::span<const std::string> labels, std::string& out) {
  write_tensor<T>(indices, out, [labels](Writer& writer, T position) {
    bool inside = true;
    if constexpr (std::is_signed_v<T>) inside = position >= 0;
    inside = inside && static_cast<std::uint64_t>(position) < labels.size();
    writer.put(inside ? std::string_view(labels[static_cast<std::size_t>(position)]) : "null");
  });
}

void append_escape(unsigned char c, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '\\';
  switch (c) {
    case '"':
    case '\\':
      out += static_cast<char>(c);
      return;
    case '\b':
      out += 'b';
      return;
    case '\f':
      out += 'f';
      return;
    case '\n':
      out += 'n';
      return;
    case '\r':
      out += 'r';
      return;
    case '\t':
      out += 't';
      return;
    default:
      out += "u00";
      out += kHex[c >> 4];
      out += kHex[c & 0xF];
  }
}

}  // namespace
}  // namespace wire

void encode_string(std::string_view text, std::string& out) {
  if (text == kMissingString) {
    out += "null";
    return;
  }
  out += '"';
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    const char* const special = wire::skip_plain_text(next, end);
    out.append(next, special);
    if (special == end) break;
    const auto c = static_cast<unsigned char>(*special);
    next = special + 1;
    if (c < 0x80) {
      wire::append_escape(c, out);
      continue;
    }
    const wire::Utf8Step step = wire::utf8_step(special, end);
    next = special + step.length;
    if (step.valid) {
      out.append(special, next);
    } else {
      out += "\xEF\xBF\xBD";  // U+FFFD
    }
  }
  out += '"';
}

void encode_tensor(const Tensor& tensor, std::string& out) {
  using namespace wire;
  switch (tensor.dtype()) {
    case DType::kBool:
      return write_tensor<bool>(tensor, out, [](Writer& writer, bool value) {
        writer.put(value ? std::string_view("true") : "false");
      });
    case DType::kInt8:
      return write_numbers<std::int8_t>(tensor, out);
    case DType::kInt16:
      return write_numbers<std::int16_t>(tensor, out);
    case DType::kInt32:
      return write_numbers<std::int32_t>(tensor, out);
    case DType::kInt64:
      return write_numbers<std::int64_t>(tensor, out);
    case DType::kUint8:
      return write_numbers<std::uint8_t>(tensor, out);
    case DType::kUint16:
      return write_numbers<std::uint16_t>(tensor, out);
    case DType::kUint32:
      return write_numbers<std::uint32_t>(tensor, out);
    case DType::kUint64:
      return write_numbers<std::uint64_t>(tensor, out);
    case DType::kFloat16:
      return write_small_floats<Float16>(tensor, out);
    case DType::kBfloat16:
      return write_small_floats<Bfloat16>(tensor, out);
    case DType::kFloat32:
      return write_numbers<float>(tensor, out);
    case DType::kFloat64:
      return write_numbers<double>(tensor, out);
    case DType::kString:
      return write_tensor<std::string>(tensor, out, [](Writer& writer, const std::string& text) {
        encode_string(text, writer.flushed());
      });
  }
}

void encode_labels(const Tensor& indices, std::span<const std::string> labels_json,
                   std::string& out) {
  using namespace wire;
  switch (indices.dtype()) {
    case DType::kBool:
    case DType::kUint8:
      return write_labels<std::uint8_t>(indices, labels_json, out);
    case DType::kInt8:
      return write_labels<std::int8_t>(indices, labels_json, out);
    case DType::kInt16:
      return write_labels<std::int16_t>(indices, labels_json, out);
    case DType::kInt32:
      return write_labels<std::int32_t>(indices, labels_json, out);
    case DType::kInt64:
      return write_labels<std::int64_t>(indices, labels_json, out);
    case DType::kUint16:
      return write_labels<std::uint16_t>(indices, labels_json, out);
    case DType::kUint32:
      return write_labels<std::uint32_t>(indices, labels_json, out);
    case DType::kUint64:
      return write_labels<std::uint64_t>(indices, labels_json, out);
    case DType::kFloat16:
    case DType::kBfloat16:
    case DType::kFloat32:
    case DType::kFloat64:
    case DType::kString:
      return write_tensor<std::byte>(indices, out,
                                     [](Writer& writer, std::byte) { writer.put("null"); });
  }
}

}  // namespace slipstream
