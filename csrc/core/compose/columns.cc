#include "core/compose/columns.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace slipstream {
namespace {

template <class Element>
void copy_numbers(const Tensor& tensor, std::vector<double>& values) {
  const auto elements = tensor.as<Element>();
  std::ranges::transform(elements, values.begin(),
                         [](Element element) { return static_cast<double>(element); });
}

// False for types that hold no numbers.
bool copy_numbers_of_any(const Tensor& tensor, std::vector<double>& values) {
  switch (tensor.dtype()) {
    case DType::kFloat32:
      copy_numbers<float>(tensor, values);
      return true;
    case DType::kFloat64:
      copy_numbers<double>(tensor, values);
      return true;
    case DType::kInt64:
      copy_numbers<std::int64_t>(tensor, values);
      return true;
    case DType::kInt32:
      copy_numbers<std::int32_t>(tensor, values);
      return true;
    case DType::kInt16:
      copy_numbers<std::int16_t>(tensor, values);
      return true;
    case DType::kInt8:
      copy_numbers<std::int8_t>(tensor, values);
      return true;
    case DType::kUint64:
      copy_numbers<std::uint64_t>(tensor, values);
      return true;
    case DType::kUint32:
      copy_numbers<std::uint32_t>(tensor, values);
      return true;
    case DType::kUint16:
      copy_numbers<std::uint16_t>(tensor, values);
      return true;
    case DType::kUint8:
    case DType::kBool:
      copy_numbers<std::uint8_t>(tensor, values);
      return true;
    case DType::kFloat16:
    case DType::kBfloat16:
    case DType::kString:
      return false;
  }
  return false;
}

template <class Label, class Value>
std::optional<double> place_of(const std::vector<Label>& labels, const Value& value) {
  for (std::size_t place = 0; place < labels.size(); ++place) {
    if (labels[place] == value) return static_cast<double>(place);
  }
  return std::nullopt;
}

Status unknown_label(const std::string& label) {
  return invalid_argument("it answers with the label " + label +
                          ", which is not one of the ensemble's classes");
}

Status read_text(const ColumnReader& reader, const Tensor& tensor, std::vector<double>& values) {
  if (reader.text_labels.empty()) return invalid_argument("it answers with text, not with numbers");
  const auto texts = tensor.strings();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::optional<double> place = place_of(reader.text_labels, texts[i]);
    if (!place) return unknown_label("'" + texts[i].substr(0, 64) + "'");
    values[i] = *place;
  }
  return Status::ok();
}

// In place: whole numbers become places.
Status place_whole(const ColumnReader& reader, std::vector<double>& values) {
  constexpr double kBeyondInt64 = 9'223'372'036'854'775'808.0;
  for (double& value : values) {
    const bool fits = value >= -kBeyondInt64 && value < kBeyondInt64;  // NaN does not
    if (!fits) return unknown_label("beyond int64");
    const auto label = static_cast<std::int64_t>(value);
    const std::optional<double> place = place_of(reader.whole_labels, label);
    if (!place) return unknown_label(std::to_string(label));
    value = *place;
  }
  return Status::ok();
}

void drop_front(const ColumnReader& reader, Columns& columns) {
  const auto kept = reader.columns();
  auto target = columns.values.begin();
  for (std::int64_t row = 0; row < columns.rows; ++row) {
    const auto begin = columns.values.begin() + row * static_cast<std::int64_t>(reader.width) +
                       static_cast<std::int64_t>(reader.skip);
    target = std::copy_n(begin, kept, target);
  }
  columns.values.erase(target, columns.values.end());
}

Result<Columns> read(const ColumnReader& reader, std::span<const Tensor> answer) {
  if (reader.output >= answer.size() || answer[reader.output].data() == nullptr) {
    return invalid_argument("it has no output number " + std::to_string(reader.output + 1));
  }
  const Tensor& tensor = answer[reader.output];
  const std::int64_t rows = tensor.rows();
  if (tensor.elements() != rows * static_cast<std::int64_t>(reader.width)) {
    return invalid_argument("it answers with shape " + to_string(tensor.shape().dims()) + ", not " +
                            std::to_string(reader.width) + " numbers a row");
  }
  Columns columns{.rows = rows, .values = {}};
  columns.values.resize(static_cast<std::size_t>(tensor.elements()));
  Status status = Status::ok();
  if (tensor.dtype() == DType::kString) {
    status = read_text(reader, tensor, columns.values);
  } else if (!copy_numbers_of_any(tensor, columns.values)) {
    status = invalid_argument("it answers with " + std::string(dtype_name(tensor.dtype())) +
                              "; an ensemble computes with float32, float64 and integers");
  } else if (!reader.whole_labels.empty()) {
    status = place_whole(reader, columns.values);
  }
  if (!status.is_ok()) return status;
  if (reader.skip > 0) drop_front(reader, columns);
  return columns;
}

}  // namespace

Result<Columns> read_columns(const ColumnReader& reader, std::span<const Tensor> answer) {
  Result<Columns> columns = read(reader, answer);
  if (columns.is_ok()) return columns;
  return Status(columns.status().code(),
                "member '" + reader.member + "': " + std::string(columns.status().message()));
}

Result<std::vector<Columns>> read_all(std::span<const ColumnReader> readers,
                                      std::span<const std::vector<Tensor>> answers) {
  std::vector<Columns> all;
  all.reserve(readers.size());
  for (std::size_t member = 0; member < readers.size(); ++member) {
    Result<Columns> columns = read_columns(readers[member], answers[member]);
    if (!columns.is_ok()) return columns.status();
    all.push_back(std::move(columns).value());
    if (all.back().rows == all.front().rows) continue;
    return invalid_argument("member '" + readers.front().member + "' answers " +
                            std::to_string(all.front().rows) + " rows, member '" +
                            readers[member].member + "' " + std::to_string(all.back().rows));
  }
  return all;
}

}  // namespace slipstream
