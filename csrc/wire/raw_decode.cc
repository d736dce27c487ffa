#include "wire/raw_decode.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/message.h"
#include "wire/raw_convert.h"

namespace slipstream::wire {

bool RawReader::check_dtype(const std::string& place) {
  const auto known = dtype_from_name(raw_.dtype);
  if (!known) {
    return context_.fail(place + ": " + quoted(raw_.dtype) +
                         " is not a dtype; use a name like float32, int64 or bool");
  }
  if (*known == DType::kString) {
    return context_.fail(place + ": strings have no binary form; send lists of them");
  }
  dtype_ = *known;
  return true;
}

// What must hold whatever the model is. Sets dtype_ and elements_.
bool RawReader::check(const std::string& place) {
  if (!check_dtype(place)) return false;
  std::int64_t elements = 1;
  std::int64_t bound = 1;  // with every 0 as 1, so that no part of the shape can overflow
  for (const std::int64_t dim : raw_.dims) {
    if (dim < 0) {
      return context_.fail(place + ": the shape " + shape_text() + " has a negative dimension");
    }
    if (__builtin_mul_overflow(bound, std::max<std::int64_t>(dim, 1), &bound)) {
      return context_.fail(place + ": the shape " + shape_text() + " is too large");
    }
    elements *= dim;
  }
  std::int64_t bytes = 0;
  const auto size = static_cast<std::int64_t>(dtype_size(dtype_));
  const auto given = static_cast<std::int64_t>(raw_.bytes.size());
  if (__builtin_mul_overflow(elements, size, &bytes) || bytes != given) {
    return context_.fail(place + ": " + std::string(dtype_name(dtype_)) + " of the shape " +
                         shape_text() + " takes " + std::to_string(elements) + " × " +
                         counted(size, "byte") + ", got " + counted(given, "byte"));
  }
  elements_ = elements;
  if (!raw_.dims.empty() && raw_.dims[0] > context_.limits.max_rows) {
    return context_.fail_rows(place);
  }
  // Not of the elements: a shape with a 0 in it has none, but an answer of that shape has as many
  // lists as the other dimensions say.
  return bound <= context_.elements_left || context_.fail_elements();
}

bool RawReader::check_takes(const TensorSpec& spec, const std::string& place) {
  if (spec.dtype == DType::kString) {
    return context_.fail(place + " takes strings, which have no binary form; send lists of them");
  }
  if (dtype_ == DType::kBool && spec.dtype != DType::kBool) {
    return context_.fail(place + " takes " + std::string(dtype_name(spec.dtype)) + ", got bool");
  }
  return true;
}

// Whether the shape is one that the input can have.
bool RawReader::fits(const TensorSpec& spec, Role role) {
  const bool is_rows = role == Role::kRows;
  const std::string place = place_of(context_.schema, spec, role, spec.dims.size(), {});
  std::vector<std::int64_t> expected = spec.dims;
  const std::size_t names = context_.schema.column_names.size();
  if (is_rows && names > 0 && expected.size() == 2) {
    expected[1] = static_cast<std::int64_t>(names);
  }
  if (expected.size() == raw_.dims.size()) {
    std::size_t axis = 0;
    for (; axis < expected.size(); ++axis) {
      const std::int64_t dim = raw_.dims[axis];
      const bool may_be_empty = expected[axis] >= 0 || (axis > 0 && !is_rows);
      if (dim == 0 && !may_be_empty) {
        return context_.fail(place + (axis == 0 ? " has no rows" : " is empty"));
      }
      if (expected[axis] >= 0 && expected[axis] != dim) break;
    }
    if (axis == expected.size()) return true;
    if (is_rows && axis == 1 && expected.size() == 2) {
      return context_.fail("row 0: expected " + counted(expected[1], "column") + ", got " +
                           std::to_string(raw_.dims[1]));
    }
  }
  return context_.fail(place + " has the shape " + shape_text() + ", expected " +
                       to_string(expected));
}

bool RawReader::read_input(const TensorSpec& spec, Role role, Tensor& tensor) {
  const std::string place = place_of(context_.schema, spec, role, spec.dims.size(), {});
  if (!check(place) || !fits(spec, role)) return false;
  context_.elements_left -= elements_;
  const bool drops_columns =
      role == Role::kRows && raw_.dims.size() == 2 && !context_.schema.ignored.empty();
  if (!drops_columns && !check_takes(spec, place)) return false;
  if (drops_columns) return read_used_columns(spec, tensor);
  const Shape shape{std::span<const std::int64_t>(raw_.dims)};
  if (dtype_ == spec.dtype) return read_same(spec, role, shape, tensor);
  tensor = Tensor::allocate(spec.dtype, shape, context_.memory);
  const std::int64_t unfit = convert(spec.dtype, 0, {1, 1}, elements_, tensor.data());
  return unfit < 0 || fail_value(spec, role, unfit);
}

// Bytes that are the input's already: a look at them where they could be wrong, and no copy where
// they may be used in their place.
bool RawReader::read_same(const TensorSpec& spec, Role role, const Shape& shape, Tensor& tensor) {
  const bool is_floating = dtype_ >= DType::kFloat16 && dtype_ <= DType::kFloat64;
  if (dtype_ == DType::kBool || (is_floating && !context_.cells.accepts_missing)) {
    const Stop stop = first_unfit(dtype_, raw_.bytes);
    fault_ = stop.fault;
    if (stop.element >= 0) return fail_value(spec, role, stop.element);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(raw_.bytes.data());
  if (context_.owner != nullptr && elements_ > 0 && address % dtype_size(dtype_) == 0) {
    // Inputs are only ever read.
    tensor = Tensor::wrap(dtype_, shape, const_cast<char*>(raw_.bytes.data()), context_.owner);
    return true;
  }
  tensor = Tensor::allocate(dtype_, shape, context_.memory);
  if (elements_ > 0) std::memcpy(tensor.data(), raw_.bytes.data(), raw_.bytes.size());
  return true;
}

// A matrix of which the model drops columns: those are 0, whatever stands there.
bool RawReader::read_used_columns(const TensorSpec& spec, Tensor& tensor) {
  const auto rows = raw_.dims[0];
  const auto width = static_cast<std::size_t>(raw_.dims[1]);
  const std::size_t size = dtype_size(spec.dtype);
  tensor = Tensor::allocate(spec.dtype, Shape{rows, raw_.dims[1]}, context_.memory);
  for (std::size_t column = 0; column < width; ++column) {
    std::byte* const target = tensor.data() + column * size;
    if (is_ignored(column)) {
      for (std::int64_t row = 0; row < rows; ++row) {
        std::memset(target + static_cast<std::size_t>(row) * width * size, 0, size);
      }
      continue;
    }
    if (!check_takes(spec, "data")) return false;
    const std::int64_t row = convert(spec.dtype, column, {width, width}, rows, target);
    if (row >= 0) {
      return fail_value(spec, Role::kRows, row * raw_.dims[1] + static_cast<std::int64_t>(column));
    }
  }
  return true;
}

bool RawReader::read_columns(const std::vector<std::string_view>& names,
                             std::vector<Tensor>& tensors) {
  if (!check("data")) return false;
  const std::vector<TensorSpec>& inputs = context_.schema.inputs;
  const auto width = static_cast<std::int64_t>(inputs.size());
  if (raw_.dims.size() != 2) {
    return context_.fail("data has the shape " + shape_text() + ", expected [rows, " +
                         std::to_string(width) + "]");
  }
  if (raw_.dims[0] == 0) return context_.fail("data has no rows");
  if (raw_.dims[1] != width) {
    return context_.fail("row 0: expected " + counted(width, "column") + ", got " +
                         std::to_string(raw_.dims[1]));
  }
  const std::int64_t rows = raw_.dims[0];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = inputs[i];
    if (spec.dims[0] >= 0 && spec.dims[0] != rows) {
      return context_.fail("data has " + counted(rows, "row") + ", expected " +
                           std::to_string(spec.dims[0]));
    }
    const Shape shape = spec.dims.size() == 1 ? Shape{rows} : Shape{rows, 1};
    tensors.push_back(Tensor::allocate(spec.dtype, shape, context_.memory));
    Tensor& tensor = tensors.back();
    if (is_ignored(i)) {
      std::memset(tensor.data(), 0, tensor.bytes());
      continue;
    }
    if (!check_takes(spec, "column " + quoted(names[i]))) return false;
    const std::int64_t row = convert(spec.dtype, i, {inputs.size(), 1}, rows, tensor.data());
    if (row < 0) continue;
    const std::int64_t element = row * width + static_cast<std::int64_t>(i);
    return context_.fail("row " + std::to_string(row) + ", column " + quoted(names[i]) + ": " +
                         why(spec.dtype, element));
  }
  return true;
}

std::int64_t RawReader::convert(DType to, std::size_t first, Strides strides, std::int64_t count,
                                std::byte* target) {
  const char* const from = raw_.bytes.data() + first * dtype_size(dtype_);
  const Stop stop = convert_raw(dtype_, to,
                                {.from = from,
                                 .from_stride = strides.from,
                                 .to = target,
                                 .to_stride = strides.to,
                                 .count = count,
                                 .accepts_missing = context_.cells.accepts_missing});
  fault_ = stop.fault;
  return stop.element;
}

bool RawReader::is_ignored(std::size_t column) const noexcept {
  const auto& ignored = context_.schema.ignored;
  return std::ranges::find(ignored, column) != ignored.end();
}

bool RawReader::fail_value(const TensorSpec& spec, Role role, std::int64_t element) {
  std::vector<std::int64_t> index(raw_.dims.size());
  std::int64_t rest = element;
  for (std::size_t axis = index.size(); axis-- > 0;) {
    index[axis] = rest % raw_.dims[axis];
    rest /= raw_.dims[axis];
  }
  return context_.fail(place_of(context_.schema, spec, role, index.size(), index) + ": " +
                       why(spec.dtype, element));
}

std::string RawReader::why(DType dtype, std::int64_t element) const {
  const char* const bytes =
      raw_.bytes.data() + static_cast<std::size_t>(element) * dtype_size(dtype_);
  return describe_fault(fault_, dtype, ValueKind::kNumber, raw_number_text(dtype_, bytes));
}

// At most a few dimensions: a message stays one line.
std::string RawReader::shape_text() const {
  constexpr std::size_t kMost = 6;
  if (raw_.dims.size() > kMost) return "of " + std::to_string(raw_.dims.size()) + " dimensions";
  std::string text = "[";
  for (const std::int64_t dim : raw_.dims) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  }
  return text + "]";
}

}  // namespace slipstream::wire
