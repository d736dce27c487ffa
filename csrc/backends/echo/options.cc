#include "backends/echo/options.h"

#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>

#include "core/option_reader.h"

namespace slipstream::echo {
namespace {

constexpr std::int64_t kMaxInputs = 64;  // as many as Execution::outputs_wanted can name
constexpr std::int64_t kMaxDelayUs = 60'000'000;
constexpr std::int64_t kMaxDim = 1 << 24;
constexpr std::int64_t kMaxCount = 1'000'000'000;

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// "3x8" -> {3, 8}; "" -> {}.
std::optional<std::vector<std::int64_t>> parse_row_shape(std::string_view text) {
  std::vector<std::int64_t> dims;
  while (!text.empty()) {
    const std::size_t cross = text.find('x');
    std::int64_t dim = 0;
    if (!parse_number(text.substr(0, cross), dim) || dim < 0 || dim > kMaxDim) return std::nullopt;
    dims.push_back(dim);
    if (cross == std::string_view::npos) break;
    text.remove_prefix(cross + 1);
    if (text.empty()) return std::nullopt;
  }
  return dims;
}

template <class T>
std::optional<std::vector<std::byte>> stored_number(std::string_view text) {
  T value{};
  if (!parse_number(text, value)) return std::nullopt;
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::optional<std::vector<std::byte>> stored_value(DType dtype, std::string_view text) {
  switch (dtype) {
    case DType::kBool:
      if (text != "true" && text != "false") return std::nullopt;
      return std::vector<std::byte>{static_cast<std::byte>(text == "true")};
    case DType::kInt8:
      return stored_number<std::int8_t>(text);
    case DType::kInt16:
      return stored_number<std::int16_t>(text);
    case DType::kInt32:
      return stored_number<std::int32_t>(text);
    case DType::kInt64:
      return stored_number<std::int64_t>(text);
    case DType::kUint8:
      return stored_number<std::uint8_t>(text);
    case DType::kUint16:
      return stored_number<std::uint16_t>(text);
    case DType::kUint32:
      return stored_number<std::uint32_t>(text);
    case DType::kUint64:
      return stored_number<std::uint64_t>(text);
    case DType::kFloat32:
      return stored_number<float>(text);
    case DType::kFloat64:
      return stored_number<double>(text);
    case DType::kString:
      return std::vector<std::byte>{};
    case DType::kFloat16:
    case DType::kBfloat16:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<PoisonValue> PoisonValue::parse(DType dtype, const std::string& text) {
  std::optional<std::vector<std::byte>> stored = stored_value(dtype, text);
  if (!stored) return std::nullopt;
  PoisonValue value;
  value.text_ = text;
  value.stored_ = *std::move(stored);
  return value;
}

std::optional<std::int64_t> PoisonValue::find_row(const Tensor& tensor) const {
  const std::int64_t width = tensor.shape().elements_per_row();
  if (width == 0) return std::nullopt;
  for (std::int64_t row = 0; row < tensor.rows(); ++row) {
    const auto first = static_cast<std::size_t>(row * width);
    const bool poisoned = tensor.dtype() == DType::kString
                              ? tensor.strings()[first] == text_
                              : std::memcmp(tensor.data() + first * stored_.size(), stored_.data(),
                                            stored_.size()) == 0;
    if (poisoned) return row;
  }
  return std::nullopt;
}

Result<EchoOptions> EchoOptions::parse(const ModelConfig& config) {
  OptionReader reader("echo", config.options);
  EchoOptions options;
  if (const auto name = reader.text("dtype")) {
    const std::optional<DType> dtype = dtype_from_name(*name);
    if (!dtype) reader.reject("dtype", *name, "a NumPy type name such as float32, int64 or string");
    options.dtype = dtype.value_or(options.dtype);
  }
  if (const auto text = reader.text("width")) {
    auto dims = parse_row_shape(*text);
    if (!dims) reader.reject("width", *text, "dimensions such as 4 or 3x8, or empty");
    options.row_shape = std::move(dims).value_or(options.row_shape);
  }
  options.inputs = reader.integer("inputs", options.inputs, 1, kMaxInputs);
  options.batchable = reader.boolean("batchable", options.batchable);
  options.delay = std::chrono::microseconds(reader.integer("delay_us", 0, 0, kMaxDelayUs));
  options.fail_every = reader.integer("fail_every", options.fail_every, 0, kMaxCount);
  if (const auto text = reader.text("fail_value")) {
    options.fail_value = PoisonValue::parse(options.dtype, *text);
    if (!options.fail_value) {
      reader.reject("fail_value", *text,
                    "a value of dtype " + std::string(dtype_name(options.dtype)));
    }
  }
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::echo
