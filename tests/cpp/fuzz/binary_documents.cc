#include "fuzz/binary_documents.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "fuzz/reference_raw.h"
#include "wire/cell.h"

namespace fuzz {
namespace {

using reference::Node;
using slipstream::DType;
using slipstream::InputSchema;
using slipstream::Layout;
using Kind = Node::Kind;

void put(std::string& out, unsigned first, std::uint64_t value, int bytes) {
  out += static_cast<char>(first);
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

// A size in any of the widths that hold it; `small` is the first byte of the shortest form, which
// takes sizes up to `most`, and `wide` that of the one with one (or, if !has8, two) bytes.
void put_size(std::string& out, std::uint64_t size, unsigned small, unsigned most, unsigned wide,
              bool has8, Random& random) {
  if (size <= most && !chance(random, 4)) {
    out += static_cast<char>(small | size);
    return;
  }
  int log = (has8 ? 0 : 1) + static_cast<int>(below(random, has8 ? 3 : 2));
  while (log < 2 && size >> (8 << log) != 0) ++log;
  put(out, wide + static_cast<unsigned>(log) - (has8 ? 0 : 1), size, 1 << log);
}

void put_list(std::string& out, std::uint64_t size, Random& random) {
  put_size(out, size, 0x90, 15, 0xDC, false, random);
}
void put_map(std::string& out, std::uint64_t size, Random& random) {
  put_size(out, size, 0x80, 15, 0xDE, false, random);
}
void put_text(std::string& out, const std::string& text, Random& random) {
  put_size(out, text.size(), 0xA0, 31, 0xD9, true, random);
  out += text;
}
void put_binary(std::string& out, const std::string& data, Random& random) {
  int log = static_cast<int>(below(random, 3));
  while (log < 2 && data.size() >> (8 << log) != 0) ++log;
  put(out, 0xC4 + static_cast<unsigned>(log), data.size(), 1 << log);
  out += data;
}

void put_integer(std::string& out, bool negative, std::uint64_t magnitude, Random& random) {
  if (!negative && magnitude < 0x80 && !chance(random, 4)) {
    out += static_cast<char>(magnitude);
    return;
  }
  if (negative && magnitude <= 32 && !chance(random, 4)) {
    out += static_cast<char>(0x100 - magnitude);
    return;
  }
  int log = static_cast<int>(below(random, 4));
  if (!negative && (chance(random, 2) || magnitude >> 63 != 0)) {
    while (log < 3 && magnitude >> (8 << log) != 0) ++log;
    put(out, 0xCC + static_cast<unsigned>(log), magnitude, 1 << log);
    return;
  }
  const std::uint64_t limit_extra = negative ? 1 : 0;
  while (log < 3 && magnitude >= (std::uint64_t{1} << ((8 << log) - 1)) + limit_extra) ++log;
  put(out, 0xD0 + static_cast<unsigned>(log), negative ? 0 - magnitude : magnitude, 1 << log);
}

void put_double(std::string& out, double value, Random& random) {
  const auto narrow = static_cast<float>(value);
  const bool fits = std::fabs(value) < 1e38 && static_cast<double>(narrow) == value;
  if (fits && chance(random, 2)) {
    put(out, 0xCA, std::bit_cast<std::uint32_t>(narrow), 4);
  } else {
    put(out, 0xCB, std::bit_cast<std::uint64_t>(value), 8);
  }
}

// Whether the number could be written as it is.
bool put_number(std::string& out, const std::string& text, Random& random) {
  const double value = std::strtod(text.c_str(), nullptr);
  const auto integer = reference::integer_text(text);
  if (!integer) {
    put_double(out, value, random);
    return std::trunc(value) != value;
  }
  if (value == 0.0) {
    if (std::signbit(value) || chance(random, 3)) {
      put_double(out, value, random);
    } else {
      put_integer(out, false, 0, random);
    }
    return true;
  }
  const bool negative = integer->front() == '-';
  std::uint64_t magnitude = 0;
  const char* const begin = integer->data() + (negative ? 1 : 0);
  const char* const end = integer->data() + integer->size();
  const bool fits = std::from_chars(begin, end, magnitude).ec == std::errc{} &&
                    (!negative || magnitude <= std::uint64_t{1} << 63);
  if (!fits) {
    put_double(out, value, random);
    return std::fabs(value) > 0x1p64;
  }
  const bool is_exact = magnitude <= std::uint64_t{1} << 53;
  if (is_exact && chance(random, 3)) {
    put_double(out, value, random);
  } else {
    put_integer(out, negative, magnitude, random);
  }
  return true;
}

bool put_node(std::string& out, const Node& node, Random& random) {
  bool exact = true;
  switch (node.kind) {
    case Kind::kNull:
      out += '\xC0';
      break;
    case Kind::kTrue:
      out += '\xC3';
      break;
    case Kind::kFalse:
      out += '\xC2';
      break;
    case Kind::kNumber:
      return put_number(out, node.text, random);
    case Kind::kString:
      put_text(out, node.text, random);
      break;
    case Kind::kBinary:
    case Kind::kOther:
      put_binary(out, node.text, random);
      break;
    case Kind::kList:
      put_list(out, node.items.size(), random);
      for (const Node& item : node.items) exact = put_node(out, item, random) && exact;
      break;
    case Kind::kObject:
      put_map(out, node.items.size(), random);
      for (std::size_t i = 0; i < node.items.size(); ++i) {
        put_text(out, node.keys[i], random);
        exact = put_node(out, node.items[i], random) && exact;
      }
  }
  return exact;
}

// A number that most dtypes hold, at times one that they do not.
double element_value(DType dtype, Random& random) {
  if (dtype == DType::kBool) return static_cast<double>(below(random, 2));
  const bool floating = dtype >= DType::kFloat16;
  if (chance(random, 60)) return floating ? std::nan("") : 1;
  if (chance(random, 60)) return floating ? HUGE_VAL : 2;
  if (floating && chance(random, 30)) return static_cast<double>(below(random, 1000)) / 8;
  return static_cast<double>(below(random, chance(random, 5) ? 128 : 2));
}

void put_element(std::string& out, DType dtype, Random& random) {
  const double value = element_value(dtype, random);
  slipstream::wire::visit_cell(dtype, [&](auto cell) {
    using T = typename decltype(cell)::Element;
    if constexpr (std::is_arithmetic_v<T>) {
      const auto element = static_cast<T>(value);
      out.append(reinterpret_cast<const char*>(&element), sizeof element);
    } else if constexpr (!std::is_same_v<T, std::string>) {
      const T element = T::from_double(value);
      out.append(reinterpret_cast<const char*>(&element), sizeof element);
    }
  });
}

}  // namespace

Packed to_msgpack(const Node& node, Random& random) {
  Packed packed;
  packed.is_exact = put_node(packed.bytes, node, random);
  return packed;
}

RawBody random_raw(const InputSchema& schema, Random& random) {
  RawBody raw;
  const std::vector<std::int64_t>& expected = schema.inputs[0].dims;
  const bool columns = schema.layout == Layout::kColumns;
  const std::size_t rank = columns ? 2 : expected.size();
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const auto any = static_cast<std::int64_t>((chance(random, 30) ? 0 : 1) + below(random, 4));
    std::int64_t dim = columns || expected[axis] < 0 ? any : expected[axis];
    if (columns && axis == 1) dim = static_cast<std::int64_t>(schema.inputs.size());
    if (axis == 1 && !schema.column_names.empty()) {
      dim = static_cast<std::int64_t>(schema.column_names.size());
    }
    raw.dims.push_back(chance(random, 40) ? any - 1 : dim);
  }
  if (chance(random, 40)) raw.dims.push_back(1);
  const bool same = chance(random, 2);
  DType dtype =
      same ? schema.inputs[0].dtype : static_cast<DType>(below(random, slipstream::kDTypeCount));
  if (dtype == DType::kString && !chance(random, 20)) dtype = DType::kFloat64;
  raw.dtype = chance(random, 60) ? "float" : std::string(slipstream::dtype_name(dtype));
  std::int64_t elements = 1;
  for (const std::int64_t dim : raw.dims) elements *= std::max<std::int64_t>(dim, 0);
  for (std::int64_t i = 0; i < elements; ++i) put_element(raw.bytes, dtype, random);
  if (!raw.bytes.empty() && chance(random, 10)) {
    raw.bytes[below(random, raw.bytes.size())] = static_cast<char>(random());
  }
  if (chance(random, 40)) raw.bytes.resize(below(random, raw.bytes.size() + 3));
  if (chance(random, 60) && !raw.dims.empty()) {
    raw.dims[below(random, raw.dims.size())] = static_cast<std::int64_t>(random());
  }
  return raw;
}

std::string to_msgpack(const RawBody& raw, Random& random) {
  Node shape{Kind::kList, {}, {}, {}};
  for (const std::int64_t dim : raw.dims) {
    shape.items.push_back({Kind::kNumber, std::to_string(dim), {}, {}});
  }
  Node node{Kind::kObject, {}, {}, {}};
  std::vector<std::size_t> order{0, 1, 2};
  std::ranges::shuffle(order, random);
  for (const std::size_t member : order) {
    node.keys.emplace_back(member == 0 ? "dtype" : member == 1 ? "shape" : "data");
    node.items.push_back(member == 0   ? Node{Kind::kString, raw.dtype, {}, {}}
                         : member == 1 ? shape
                                       : Node{Kind::kBinary, raw.bytes, {}, {}});
  }
  return to_msgpack(node, random).bytes;
}

void mutate_msgpack(std::string& document, const std::string& other, Random& random) {
  if (document.empty()) document = "\x90";
  const std::size_t at = below(random, document.size());
  const std::size_t length = below(random, std::min<std::size_t>(document.size() - at, 24) + 1);
  static const std::string kHeads(
      "\x90\x91\x92\x93\x80\x81\x82\xA0\xA1\xC0\xC1\xC2\xC3\xC4\xC5\xC7\xC8\xCA\xCB\xCC\xCD\xCE"
      "\xCF\xD0\xD1\xD2\xD3\xD4\xD8\xD9\xDA\xDC\xDD\xDE\xDF\xE0\xFF\x01\x7F");
  switch (below(random, 9)) {
    case 0:
    case 1:
      document[at] = kHeads[below(random, kHeads.size())];
      return;
    case 2:
      document.insert(at, 1, kHeads[below(random, kHeads.size())]);
      return;
    case 3:
      document.resize(at);
      return;
    case 4:
      document[at] = static_cast<char>(document[at] ^ (1 << below(random, 8)));
      return;
    case 5:
      document.erase(at, length);
      return;
    case 6:
      document.insert(below(random, document.size()), document.substr(at, length));
      return;
    case 7:
      if (!other.empty()) {
        document.insert(at, other.substr(below(random, other.size()), length + 1));
      }
      return;
    default:  // a value in place of a byte
      document.erase(at, 1);
      std::string value;
      (void)put_number(value, chance(random, 2) ? ordinary_number(random) : "255", random);
      document.insert(at, value);
  }
}

}  // namespace fuzz
