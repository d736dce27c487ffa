#include "wire/encode.h"

#include <charconv>
#include <cmath>
#include <concepts>
#include <type_traits>

#include "wire/block_writer.h"
#include "wire/cell.h"
#include "wire/shortest.h"
#include "wire/text.h"

namespace slipstream {
namespace wire {
namespace {

struct JsonLists {
  static void open(BlockWriter& writer, std::int64_t /*size*/) { writer.put('['); }
  static void between(BlockWriter& writer) { writer.put(','); }
  static void close(BlockWriter& writer) { writer.put(']'); }
};

template <std::integral T>
void put_number(BlockWriter& writer, T value) {
  char* const room = writer.room();
  writer.wrote(std::to_chars(room, room + BlockWriter::kLongest, value).ptr);
}

template <std::floating_point T>
void put_number(BlockWriter& writer, T value) {
  if (!std::isfinite(value)) return writer.put("null");
  writer.wrote(write_shortest(value, writer.room()));
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
  visit_cell(tensor.dtype(), [&](auto cell) {
    using T = typename decltype(cell)::Element;
    write_tensor<JsonLists, T>(tensor, out, [](BlockWriter& writer, const T& value) {
      if constexpr (std::is_same_v<T, bool>) {
        writer.put(value ? std::string_view("true") : "false");
      } else if constexpr (std::is_same_v<T, std::string>) {
        encode_string(value, writer.flushed());
      } else if constexpr (std::is_arithmetic_v<T>) {
        put_number(writer, value);
      } else {
        put_number(writer, value.to_float());
      }
    });
  });
}

void encode_labels(const Tensor& indices, std::span<const std::string> labels_json,
                   std::string& out) {
  using namespace wire;
  visit_cell(indices.dtype(), [&](auto cell) {
    write_labels<JsonLists, typename decltype(cell)::Element>(indices, labels_json, "null", out);
  });
}

}  // namespace slipstream
