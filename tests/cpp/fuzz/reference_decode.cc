#include "fuzz/reference_decode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <set>
#include <type_traits>

#include "fuzz/reference_raw.h"
#include "wire/half.h"

namespace reference {
namespace {

using slipstream::DecodeLimits;
using slipstream::DType;
using slipstream::InputSchema;
using slipstream::Layout;
using slipstream::StatusCode;
using slipstream::Tensor;
using slipstream::TensorSpec;
using slipstream::wire::Bfloat16;
using slipstream::wire::Float16;
using Kind = Node::Kind;

void require(bool condition) {
  if (!condition) throw Wrong{};
}

std::string float_text(double value) {
  return std::isnan(value) ? "nan" : std::to_string(std::bit_cast<std::uint64_t>(value));
}

// Whether a decimal integer without leading zeros lies in [low, high].
bool in_range(const std::string& text, const std::string& low, const std::string& high) {
  if (text[0] != '-') {
    return text.size() < high.size() || (text.size() == high.size() && text <= high);
  }
  return low[0] == '-' && (text.size() < low.size() || (text.size() == low.size() && text <= low));
}

template <class T>
std::string integer(const Node& node) {
  require(node.kind == Kind::kNumber);
  const auto text = integer_text(node.text);
  require(text && in_range(*text, std::to_string(std::numeric_limits<T>::min()),
                           std::to_string(std::numeric_limits<T>::max())));
  return *text;
}

bool number_is_finite(const std::string& text) {
  return std::isfinite(std::strtod(text.c_str(), nullptr));
}

std::string floating(const Node& node, DType dtype, bool accepts_missing) {
  if (node.kind == Kind::kNull && accepts_missing) return "nan";
  require(node.kind == Kind::kNumber);
  double value = std::strtod(node.text.c_str(), nullptr);
  if (dtype == DType::kFloat32) value = static_cast<double>(static_cast<float>(value));
  if (dtype == DType::kFloat16) value = static_cast<double>(Float16::from_double(value).to_float());
  if (dtype == DType::kBfloat16) {
    value = static_cast<double>(Bfloat16::from_double(value).to_float());
  }
  // Only MessagePack and raw tensors have what is not finite.
  const bool finite = number_is_finite(node.text);
  require(std::isfinite(value) || (!finite && accepts_missing));
  return float_text(value);
}

std::string scalar(const Node& node, DType dtype, bool accepts_missing) {
  switch (dtype) {
    case DType::kBool: {
      if (node.kind == Kind::kTrue) return "1";
      if (node.kind == Kind::kFalse) return "0";
      const std::string text = integer<std::uint8_t>(node);
      require(text == "0" || text == "1");
      return text;
    }
    case DType::kInt8:
      return integer<std::int8_t>(node);
    case DType::kInt16:
      return integer<std::int16_t>(node);
    case DType::kInt32:
      return integer<std::int32_t>(node);
    case DType::kInt64:
      return integer<std::int64_t>(node);
    case DType::kUint8:
      return integer<std::uint8_t>(node);
    case DType::kUint16:
      return integer<std::uint16_t>(node);
    case DType::kUint32:
      return integer<std::uint32_t>(node);
    case DType::kUint64:
      return integer<std::uint64_t>(node);
    case DType::kString:
      if (node.kind == Kind::kNull && accepts_missing) {
        return std::string(slipstream::kMissingString);
      }
      require(node.kind == Kind::kString);
      return node.text;
    default:
      return floating(node, dtype, accepts_missing);
  }
}

// The list of numbers that a text stands for.
Node bytes_of(const std::string& text) {
  Node list{Kind::kList, {}, {}, {}};
  for (const char byte : text) {
    list.items.push_back({Kind::kNumber, std::to_string(static_cast<unsigned char>(byte)), {}, {}});
  }
  return list;
}

void nested(const Node& node, const TensorSpec& spec, bool rows, const InputSchema& schema,
            std::size_t axis, Expected& expected) {
  if (axis == spec.dims.size()) {
    expected.elements.push_back(scalar(node, spec.dtype, schema.accepts_missing));
    return;
  }
  const bool is_number = spec.dtype != DType::kBool && spec.dtype != DType::kString;
  const bool has_room = is_number && spec.dtype != DType::kInt8;
  if (node.kind == Kind::kString && schema.takes_text && has_room && axis + 1 == spec.dims.size()) {
    return nested(bytes_of(node.text), spec, rows, schema, axis, expected);
  }
  require(node.kind == Kind::kList);
  const auto size = static_cast<std::int64_t>(node.items.size());
  if (expected.dims[axis] < 0) {
    require(size > 0 || (axis > 0 && !rows));
    expected.dims[axis] = size;
  }
  require(size == expected.dims[axis]);
  for (const Node& item : node.items) {
    nested(item, spec, rows, schema, axis + 1, expected);
  }
}

Expected tensor(const Node& node, const TensorSpec& spec, bool rows, const InputSchema& schema) {
  Expected expected{spec.dims, {}};
  if (rows && spec.dims.size() == 2 && !schema.column_names.empty()) {
    expected.dims[1] = static_cast<std::int64_t>(schema.column_names.size());
  }
  nested(node, spec, rows, schema, 0, expected);
  for (std::int64_t& dim : expected.dims) dim = std::max<std::int64_t>(dim, 0);
  return expected;
}

// The values of an object in the order of `names`, which must be exactly its keys.
std::vector<Node> members(const Node& node, const std::vector<std::string>& names) {
  require(node.kind == Kind::kObject && node.keys.size() == names.size());
  require(std::set(node.keys.begin(), node.keys.end()).size() == names.size());
  std::vector<Node> values;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(node.keys, name);
    require(found != node.keys.end());
    values.push_back(node.items[static_cast<std::size_t>(found - node.keys.begin())]);
  }
  return values;
}

std::vector<std::string> input_names(const InputSchema& schema) {
  std::vector<std::string> names;
  for (const TensorSpec& input : schema.inputs) names.push_back(input.name);
  return names;
}

// Object rows as lists, so that both forms are one.
Node rows_as_lists(Node data, const std::vector<std::string>& names) {
  require(data.kind == Kind::kList && !data.items.empty());
  const Kind form = data.items[0].kind;
  for (Node& row : data.items) {
    require(row.kind == form);
    if (form == Kind::kObject) row = Node{Kind::kList, {}, members(row, names), {}};
  }
  return data;
}

std::vector<Expected> columns(const Node& data, const InputSchema& schema) {
  const auto names = schema.column_names.empty() ? input_names(schema) : schema.column_names;
  const Node rows = rows_as_lists(data, names);
  std::vector<Expected> inputs;
  for (std::size_t i = 0; i < schema.inputs.size(); ++i) {
    const TensorSpec& spec = schema.inputs[i];
    Expected expected{{static_cast<std::int64_t>(rows.items.size())}, {}};
    require(spec.dims[0] < 0 || spec.dims[0] == expected.dims[0]);
    if (spec.dims.size() == 2) expected.dims.push_back(1);
    for (const Node& row : rows.items) {
      require(row.kind == Kind::kList && row.items.size() == schema.inputs.size());
      expected.elements.push_back(scalar(row.items[i], spec.dtype, schema.accepts_missing));
    }
    inputs.push_back(std::move(expected));
  }
  return inputs;
}

// A row whose dropped columns are 0, whatever stood there; objects may leave them out.
Node without_ignored(Node row, const std::vector<std::string>& names, const InputSchema& schema) {
  const Node zero{Kind::kNumber, "0", {}, {}};
  for (const std::size_t column : schema.ignored) {
    if (row.kind == Kind::kList && column < row.items.size()) row.items[column] = zero;
    if (row.kind != Kind::kObject) continue;
    const auto found = std::ranges::find(row.keys, names[column]);
    if (found == row.keys.end()) {
      row.keys.push_back(names[column]);
      row.items.push_back(zero);
    } else {
      row.items[static_cast<std::size_t>(found - row.keys.begin())] = zero;
    }
  }
  return row;
}

// Where a raw tensor is all the data.
std::size_t rank_of_raw(const InputSchema& schema) {
  return schema.layout == Layout::kColumns ? 2 : schema.inputs[0].dims.size();
}

// The nested lists that a raw tensor stands for; anything else as it is.
Node expanded(const Node& node, std::size_t rank) {
  if (node.kind != Kind::kObject || node.keys.size() != 3) return node;
  const auto member = [&node](std::string_view key) -> const Node* {
    const auto found = std::ranges::find(node.keys, key);
    return found == node.keys.end()
               ? nullptr
               : &node.items[static_cast<std::size_t>(found - node.keys.begin())];
  };
  const Node* const dtype = member("dtype");
  const Node* const shape = member("shape");
  const Node* const data = member("data");
  if (dtype == nullptr || shape == nullptr || data == nullptr) return node;
  require(dtype->kind == Kind::kString && shape->kind == Kind::kList &&
          data->kind == Kind::kBinary);
  std::vector<std::int64_t> dims;
  for (const Node& dim : shape->items) dims.push_back(std::stoll(integer<std::int64_t>(dim)));
  return lists_of_raw(data->text, dtype->text, dims, rank);
}

std::vector<Expected> inputs_of(Node data, const InputSchema& schema) {
  if (schema.layout != Layout::kTensors || schema.inputs.size() == 1) {
    data = expanded(data, rank_of_raw(schema));
  }
  if (data.kind == Kind::kList && !schema.ignored.empty()) {
    const auto names = schema.column_names.empty() ? input_names(schema) : schema.column_names;
    for (Node& row : data.items) row = without_ignored(std::move(row), names, schema);
  }
  if (schema.layout == Layout::kColumns) return columns(data, schema);
  if (schema.layout == Layout::kMatrix) {
    const bool named = !schema.column_names.empty() && schema.inputs[0].dims.size() == 2;
    return {tensor(named ? rows_as_lists(data, schema.column_names) : data, schema.inputs[0], true,
                   schema)};
  }
  if (schema.inputs.size() == 1 && data.kind != Kind::kObject) {
    return {tensor(data, schema.inputs[0], false, schema)};
  }
  const std::vector<Node> values = members(data, input_names(schema));
  std::vector<Expected> inputs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    inputs.push_back(
        tensor(expanded(values[i], schema.inputs[i].dims.size()), schema.inputs[i], false, schema));
  }
  return inputs;
}

template <class T>
std::string element_text(const T& element) {
  if constexpr (std::is_same_v<T, std::string>) {
    return element;
  } else if constexpr (std::is_floating_point_v<T>) {
    return float_text(static_cast<double>(element));
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(element);
  } else {
    return float_text(static_cast<double>(element.to_float()));
  }
}

template <class T>
std::vector<std::string> element_texts(const Tensor& tensor) {
  std::vector<std::string> texts;
  for (const T& element : tensor.as<T>()) texts.push_back(element_text(element));
  return texts;
}

std::vector<std::string> all_texts(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::kBool:
      return element_texts<bool>(tensor);
    case DType::kInt8:
      return element_texts<std::int8_t>(tensor);
    case DType::kInt16:
      return element_texts<std::int16_t>(tensor);
    case DType::kInt32:
      return element_texts<std::int32_t>(tensor);
    case DType::kInt64:
      return element_texts<std::int64_t>(tensor);
    case DType::kUint8:
      return element_texts<std::uint8_t>(tensor);
    case DType::kUint16:
      return element_texts<std::uint16_t>(tensor);
    case DType::kUint32:
      return element_texts<std::uint32_t>(tensor);
    case DType::kUint64:
      return element_texts<std::uint64_t>(tensor);
    case DType::kFloat16:
      return element_texts<Float16>(tensor);
    case DType::kBfloat16:
      return element_texts<Bfloat16>(tensor);
    case DType::kFloat32:
      return element_texts<float>(tensor);
    case DType::kFloat64:
      return element_texts<double>(tensor);
    case DType::kString:
      break;
  }
  return element_texts<std::string>(tensor);
}

template <class Make>
Answer answer_of(const Make& make, const InputSchema& schema, const DecodeLimits& limits) {
  try {
    std::vector<Expected> inputs = inputs_of(make(), schema);
    std::int64_t elements = 0;
    for (const Expected& input : inputs) {
      elements += static_cast<std::int64_t>(input.elements.size());
      require(input.dims.empty() || input.dims[0] <= limits.max_rows);
    }
    require(elements <= limits.max_elements);
    return {StatusCode::kOk, std::move(inputs)};
  } catch (const Wrong&) {
    return {StatusCode::kInvalidArgument, {}};
  } catch (const Open&) {
    return {.code = StatusCode::kOk, .inputs = {}, .is_open = true};
  }
}

}  // namespace

Answer decode(const std::optional<Node>& data, const InputSchema& schema,
              const DecodeLimits& limits) {
  if (!data) return {StatusCode::kMalformed, {}};
  return answer_of([&] { return *data; }, schema, limits);
}

Answer decode_raw(std::string_view bytes, std::string_view dtype,
                  const std::vector<std::int64_t>& dims, const InputSchema& schema,
                  const DecodeLimits& limits) {
  if (schema.layout == Layout::kTensors && schema.inputs.size() > 1) {
    return {StatusCode::kInvalidArgument, {}};
  }
  return answer_of([&] { return lists_of_raw(bytes, dtype, dims, rank_of_raw(schema)); }, schema,
                   limits);
}

Expected written_out(const Tensor& tensor) {
  const auto dims = tensor.shape().dims();
  return {{dims.begin(), dims.end()}, all_texts(tensor)};
}

}  // namespace reference
