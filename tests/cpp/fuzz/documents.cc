#include "fuzz/documents.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace fuzz {
namespace {

using slipstream::DType;
using slipstream::InputSchema;
using slipstream::Layout;
using slipstream::TensorSpec;

const std::vector<std::string> kNames{
    "a", "b c", "ü", "\"q\"", "a\\", "\n", "", "long name, past sixteen", "b", "d", "e", "f", "g",
    "h", "i",   "j", "k",     "l",   "m",  "n"};

std::string random_value(DType dtype, Random& random) {
  if (chance(random, 500)) return random_word(random);
  if (dtype == DType::kString) return chance(random, 6) ? "null" : random_string(random);
  if (dtype == DType::kBool) {
    static const std::vector<std::string> kBools{"true", "false", "0", "1"};
    return kBools[below(random, kBools.size())];
  }
  const bool floating = dtype >= DType::kFloat16 && dtype <= DType::kFloat64;
  if (floating && chance(random, 40)) return "null";
  if (chance(random, 200)) return random_number(random);
  return floating ? ordinary_number(random) : std::to_string(below(random, 128));
}

std::string space(Random& random) {
  static const std::vector<std::string> kSpaces{" ", "\n", "\t", "\r\n  "};
  return chance(random, 12) ? kSpaces[below(random, kSpaces.size())] : "";
}

// Quoted and escaped, in one of the ways JSON allows.
std::string key(const std::string& name, Random& random) {
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (c == '\n') {
      text += chance(random, 2) ? "\\n" : "\\u000A";
    } else if (c == 'a' && chance(random, 4)) {
      text += "\\u0061";
    } else {
      text += c;
    }
  }
  return text + "\"" + space(random) + ":" + space(random);
}

std::string nested(const TensorSpec& spec, const std::vector<std::size_t>& dims, std::size_t axis,
                   bool takes_text, Random& random) {
  if (axis == dims.size()) return random_value(spec.dtype, random);
  if (takes_text && axis + 1 == dims.size() && chance(random, 3)) {  // in one byte a letter, mostly
    return chance(random, 20) ? random_string(random) : '"' + std::string(dims[axis], 'w') + '"';
  }
  std::string text = "[" + space(random);
  for (std::size_t i = 0; i < dims[axis]; ++i) {
    if (i > 0) text += space(random) + "," + space(random);
    text += nested(spec, dims, axis + 1, takes_text, random);
  }
  return text + space(random) + "]";
}

std::string nested(const TensorSpec& spec, bool takes_text, Random& random) {
  std::vector<std::size_t> dims;
  for (const std::int64_t dim : spec.dims) {
    const std::size_t most = dims.empty() ? (chance(random, 20) ? 60 : 5) : 4;
    const std::size_t least = chance(random, 20) ? 0 : 1;
    dims.push_back(dim >= 0 ? static_cast<std::size_t>(dim) : least + below(random, most));
  }
  return nested(spec, dims, 0, takes_text, random);
}

std::string table(const InputSchema& schema, Random& random) {
  const bool matrix = schema.layout == Layout::kMatrix;
  std::vector<std::string> names = schema.column_names;
  if (names.empty()) {
    for (const TensorSpec& input : schema.inputs) names.push_back(input.name);
  }
  std::vector<std::size_t> order(names.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const bool objects = chance(random, 2);
  if (objects) std::ranges::shuffle(order, random);
  std::string text = "[";
  const std::size_t rows = 1 + below(random, chance(random, 20) ? 60 : 4);
  for (std::size_t row = 0; row < rows; ++row) {
    if (row > 0) text += "," + space(random);
    if (objects && chance(random, 10)) std::ranges::shuffle(order, random);
    text += objects ? "{" : "[";
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0) text += space(random) + "," + space(random);
      if (objects) text += key(names[order[i]], random);
      text += random_value(schema.inputs[matrix ? 0 : order[i]].dtype, random);
    }
    text += objects ? "}" : "]";
  }
  return text + "]";
}

DType random_dtype(Random& random) {
  if (chance(random, 3)) return chance(random, 2) ? DType::kFloat32 : DType::kFloat64;
  return static_cast<DType>(below(random, slipstream::kDTypeCount));
}

std::vector<std::string> some_names(std::size_t count) {
  return {kNames.begin(), kNames.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

namespace {

InputSchema schema_of_any_layout(Random& random) {
  InputSchema schema;
  schema.accepts_missing = !chance(random, 4);
  schema.layout = static_cast<Layout>(below(random, 3));
  if (schema.layout == Layout::kColumns) {
    const std::size_t count = 1 + below(random, kNames.size());
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::int64_t> dims{-1};
      if (chance(random, 2)) dims.push_back(chance(random, 2) ? 1 : -1);
      schema.inputs.push_back({kNames[i], random_dtype(random), std::move(dims)});
    }
    if (chance(random, 2)) schema.column_names = some_names(count);
    return schema;
  }
  const bool matrix = schema.layout == Layout::kMatrix;
  const std::size_t count = matrix ? 1 : 1 + below(random, 3);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::int64_t> dims;
    const std::size_t rank = matrix ? 1 + below(random, 3) : below(random, 5);
    for (std::size_t axis = 0; axis < rank; ++axis) {
      const bool fixed = chance(random, axis == 0 ? 8 : 2);
      dims.push_back(fixed ? static_cast<std::int64_t>(1 + below(random, 4)) : -1);
    }
    schema.inputs.push_back({kNames[i], random_dtype(random), std::move(dims)});
  }
  if (matrix && schema.inputs[0].dims.size() == 2 && chance(random, 2)) {
    std::int64_t& width = schema.inputs[0].dims[1];
    const std::size_t columns = 1 + below(random, kNames.size());
    if (width >= 0) width = static_cast<std::int64_t>(columns);
    schema.column_names = some_names(columns);
  }
  return schema;
}

}  // namespace

// At times, columns of numbers are dropped by the model, or texts stand for rows of bytes.
InputSchema random_schema(Random& random) {
  InputSchema schema = schema_of_any_layout(random);
  const bool has_lists = schema.layout != Layout::kColumns && schema.column_names.empty();
  schema.takes_text = has_lists && chance(random, 3);
  const bool named = !schema.column_names.empty() && schema.inputs[0].dims.size() == 2;
  if ((schema.layout == Layout::kMatrix && !named) || !chance(random, 3)) return schema;
  if (schema.layout == Layout::kTensors) return schema;
  const bool matrix = schema.layout == Layout::kMatrix;
  const std::size_t columns = matrix ? schema.column_names.size() : schema.inputs.size();
  for (std::size_t i = 0; i < columns; ++i) {
    const bool is_text = schema.inputs[matrix ? 0 : i].dtype == DType::kString;
    if (!is_text && chance(random, 4)) schema.ignored.push_back(i);
  }
  return schema;
}

std::string random_document(const InputSchema& schema, Random& random) {
  if (schema.layout == Layout::kColumns || !schema.column_names.empty()) {
    return table(schema, random);
  }
  if (schema.layout == Layout::kMatrix || (schema.inputs.size() == 1 && chance(random, 2))) {
    return nested(schema.inputs[0], schema.takes_text, random);
  }
  std::string text = "{";
  for (const TensorSpec& input : schema.inputs) {
    text += (text.size() > 1 ? "," : "") + key(input.name, random) +
            nested(input, schema.takes_text, random);
  }
  return text + "}";
}

}  // namespace fuzz
