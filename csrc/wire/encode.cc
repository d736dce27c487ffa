#include "wire/encode.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "wire/block_writer.h"
#include "wire/cell.h"
#include "wire/shortest.h"
#include "wire/text.h"

namespace slipstream {
namespace wire {
namespace {

struct JsonLists {
  static constexpr std::size_t kBytes = 3;  // with the comma in front

  static void open(auto& writer, std::int64_t /*size*/) { writer.put('['); }
  static void between(auto& writer) { writer.put(','); }
  static void close(auto& writer) { writer.put(']'); }
};

// More than a number or bool of any type takes, with the comma in front.
constexpr std::size_t kElementBytes = 26;

template <class T>
void put_element(MemoryWriter& writer, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    writer.put(value ? std::string_view("true") : "false");
  } else if constexpr (std::is_integral_v<T>) {
    char* const room = writer.room();
    writer.wrote(std::to_chars(room, room + BlockWriter::kLongest, value).ptr);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return writer.put("null");
    writer.wrote(write_shortest(value, writer.room()));
  } else {
    put_element(writer, value.to_float());
  }
}

constexpr auto kPutNumber = [](MemoryWriter& writer, auto value) { put_element(writer, value); };

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

std::size_t numbers_bound(const Tensor& tensor) {
  return wire::bound_of_lists(tensor, wire::kElementBytes, wire::JsonLists::kBytes);
}

char* encode_numbers(const Tensor& tensor, char* out) noexcept {
  return wire::write_numbers<wire::JsonLists>(tensor, out, wire::kPutNumber);
}

void encode_tensor(const Tensor& tensor, std::string& out) {
  const auto put_string = [](wire::BlockWriter& to, const std::string& text) {
    encode_string(text, to.flushed());
  };
  wire::append_tensor<wire::JsonLists>(tensor, out, numbers_bound(tensor), put_string,
                                       wire::kPutNumber);
}

void encode_labels(const Tensor& indices, std::span<const std::string> labels_json,
                   std::string& out) {
  using namespace wire;
  visit_cell(indices.dtype(), [&](auto cell) {
    write_labels<JsonLists, typename decltype(cell)::Element>(indices, labels_json, "null", out);
  });
}

}  // namespace slipstream
