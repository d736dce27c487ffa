#include "forest/forest_writer.h"

#include <cstring>
#include <limits>
#include <span>
#include <type_traits>

#include "backends/forest/crc32.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kCrcAt = 12;
constexpr std::size_t kSizeAt = 16;

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void pad(std::string& to, std::size_t alignment) {
  to.append((alignment - to.size() % alignment) % alignment, '\0');
}

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::kInt32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::kInt64;
  if constexpr (std::is_same_v<T, std::uint32_t>) return DType::kUint32;
  return DType::kUint8;
}

std::string end_record(std::uint32_t first, std::uint32_t second, std::string_view name) {
  std::string record;
  put(record, first);
  put(record, second);
  put(record, static_cast<std::uint32_t>(name.size()));
  put(record, std::uint32_t{0});
  record += name;
  pad(record, 8);
  return record;
}

}  // namespace

template <class T>
WrittenArray array_of(const std::vector<T>& values) {
  WrittenArray array{.dtype = dtype_of<T>(), .count = values.size(), .bytes = {}};
  for (const T value : values) put(array.bytes, value);
  return array;
}
template WrittenArray array_of(const std::vector<double>&);
template WrittenArray array_of(const std::vector<std::int32_t>&);
template WrittenArray array_of(const std::vector<std::int64_t>&);
template WrittenArray array_of(const std::vector<std::uint8_t>&);
template WrittenArray array_of(const std::vector<std::uint32_t>&);

std::vector<WrittenArray> texts(const std::vector<std::string>& strings) {
  std::vector<std::int64_t> ends;
  std::vector<std::uint8_t> bytes;
  for (const std::string& text : strings) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    ends.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  return {array_of(ends), array_of(bytes)};
}

Ensemble OwnedTrees::view() const {
  Ensemble trees;
  trees.features = features;
  trees.outputs = outputs;
  trees.leaf_width = leaf_width;
  trees.comparison = comparison;
  trees.zero_flush = zero_flush;
  trees.float32_sums = float32_sums;
  trees.roots = roots;
  trees.tree_output = tree_output;
  trees.feature = feature;
  trees.threshold = threshold;
  trees.left = left;
  trees.right = right;
  trees.missing_left = missing_left;
  trees.leaf_value = leaf_value;
  trees.rule = rule;
  trees.base = base;
  trees.set_start = set_start;
  trees.set_bits = set_bits;
  trees.category_count = category_count;
  trees.known_start = known_start;
  trees.known_bits = known_bits;
  return trees;
}

OwnedTrees stump(std::uint32_t features, double left, double right) {
  OwnedTrees trees;
  trees.features = features;
  trees.roots = {0};
  trees.tree_output = {0};
  trees.feature = {0};
  trees.threshold = {0.5};
  trees.left = {~0};
  trees.right = {~1};
  trees.missing_left = {0};
  trees.leaf_value = {left, right};
  trees.rule.assign(features, 0);
  trees.base = {0.0};
  return trees;
}

std::uint32_t ForestWriter::input(std::string_view name, DType dtype, std::uint32_t width) {
  inputs_.push_back(end_record(static_cast<std::uint32_t>(dtype), width, name));
  return static_cast<std::uint32_t>(inputs_.size() - 1);
}

std::uint32_t ForestWriter::step(Op op, const std::vector<std::uint32_t>& inputs,
                                 const std::vector<WrittenArray>& arrays,
                                 const std::vector<double>& scalars) {
  std::string record;
  put(record, static_cast<std::uint32_t>(op));
  put(record, static_cast<std::uint32_t>(inputs.size()));
  put(record, static_cast<std::uint32_t>(arrays.size()));
  put(record, static_cast<std::uint32_t>(scalars.size()));
  for (const std::uint32_t id : inputs) put(record, id);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    put(record, static_cast<std::uint32_t>(arrays_.size() + i));
  }
  pad(record, 8);
  for (const double scalar : scalars) put(record, scalar);
  arrays_.insert(arrays_.end(), arrays.begin(), arrays.end());
  steps_.push_back(std::move(record));
  return static_cast<std::uint32_t>(inputs_.size() + steps_.size() - 1);
}

std::uint32_t ForestWriter::trees(std::uint32_t x, const OwnedTrees& trees) {
  return step(
      Op::kTrees, {x},
      {array_of(trees.roots), array_of(trees.tree_output), array_of(trees.feature),
       array_of(trees.threshold), array_of(trees.left), array_of(trees.right),
       array_of(trees.missing_left), array_of(trees.leaf_value), array_of(trees.rule),
       array_of(trees.base), array_of(trees.set_start), array_of(trees.set_bits),
       array_of(trees.category_count), array_of(trees.known_start), array_of(trees.known_bits)},
      {static_cast<double>(trees.features), static_cast<double>(trees.outputs),
       static_cast<double>(trees.leaf_width), static_cast<double>(trees.comparison),
       trees.zero_flush ? 1.0 : 0.0, trees.float32_sums ? 1.0 : 0.0});
}

void ForestWriter::output(std::string_view name, std::uint32_t value, bool flat) {
  outputs_.push_back(end_record(value, flat ? 1 : 0, name));
}

std::string ForestWriter::bytes() const {
  std::string program;
  for (const auto* records : {&inputs_, &steps_, &outputs_}) {
    for (const std::string& record : *records) program += record;
  }
  const std::uint64_t table_at = kHeaderBytes + program.size();
  std::string table;
  std::string data(table_at + 24 * arrays_.size(), '\0');  // as long as what comes before it
  for (const WrittenArray& array : arrays_) {
    pad(data, kArrayAlignment);
    put(table, static_cast<std::uint32_t>(array.dtype));
    put(table, std::uint32_t{0});
    put(table, std::uint64_t{data.size()});
    put(table, array.count);
    data += array.bytes;
  }
  std::string file = "SLIPFRST";
  put(file, kFormatVersion);
  put(file, std::uint32_t{0});
  put(file, std::uint64_t{0});
  put(file, std::uint64_t{kHeaderBytes});
  put(file, std::uint64_t{program.size()});
  put(file, table_at);
  for (const auto count : {arrays_.size(), steps_.size(), inputs_.size(), outputs_.size()}) {
    put(file, static_cast<std::uint32_t>(count));
  }
  file += program + table;
  data.replace(0, file.size(), file);
  seal(data);
  return data;
}

void seal(std::string& bytes) {
  if (bytes.size() < kHeaderBytes) return;
  const std::uint64_t size = bytes.size();
  std::memcpy(bytes.data() + kSizeAt, &size, sizeof size);
  const std::uint32_t crc = crc32(std::as_bytes(std::span(bytes)).subspan(kSizeAt));
  std::memcpy(bytes.data() + kCrcAt, &crc, sizeof crc);
}

std::string sample_file() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  ForestWriter writer;
  const auto numbers = writer.input("numbers", DType::kFloat64, 3);
  const auto town = writer.input("town", DType::kString, 1);
  const auto scaled = writer.step(Op::kDivide, {numbers}, {array_of({1.0, 2.0, 4.0})});
  const auto filled =
      writer.step(Op::kReplaceMissing, {scaled}, {array_of({0.1, 0.2, 0.3})}, {kNaN});
  auto keys = texts({"", "Aachen", "Ulm"});
  keys.push_back(array_of({0.0, 1.0, 2.0}));
  const auto code = writer.step(Op::kLookupText, {town}, keys, {-1.0, -2.0});
  const auto known = writer.step(Op::kOneHot, {code}, {}, {3.0, 0.0});
  const auto features = writer.step(Op::kConcat, {filled, known});
  const auto raw = writer.trees(features, stump(6, -1.25, 0.75));
  const auto positive = writer.step(Op::kFunction, {raw}, {}, {7.0});
  const auto both = writer.step(Op::kComplement, {positive});
  const auto best = writer.step(Op::kArgmax, {both});
  const auto label = writer.step(Op::kLabelText, {best}, texts({"no", "yes, and at length"}));
  writer.output("label", label, true);
  writer.output("probabilities", both);
  writer.output("raw", raw, true);
  writer.output("numbers_again", numbers);
  return writer.bytes();
}

}  // namespace slipstream::forest
