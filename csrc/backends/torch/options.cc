#include "backends/torch/options.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "core/option_reader.h"
#include "device/graphed_computation.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::libtorch {
namespace {

constexpr int kMostThreads = 256;

// Cuts the text before the next `separator` off `rest`.
std::string_view next_part(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::vector<std::int64_t>> parse_dims(std::string_view text) {
  std::vector<std::int64_t> dims;
  if (text == "-") return dims;
  if (text.empty() || text.back() == ',') return std::nullopt;
  while (!text.empty()) {
    const auto dim = parse_number<std::int64_t>(next_part(text, ','));
    if (!dim || *dim < -1) return std::nullopt;
    dims.push_back(*dim);
  }
  return dims;
}

std::optional<TensorSpec> parse_tensor(std::string_view line) {
  const std::optional<DType> dtype = dtype_from_name(next_part(line, ' '));
  std::optional<std::vector<std::int64_t>> dims = parse_dims(next_part(line, ' '));
  if (!dtype || !dims || line.empty()) return std::nullopt;
  return TensorSpec{std::string(line), *dtype, std::move(*dims)};
}

std::vector<TensorSpec> read_tensors(OptionReader& reader, std::string_view key) {
  const std::string text = reader.required_text(key, "lines of 'DTYPE DIMS NAME'");
  std::vector<TensorSpec> tensors;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = next_part(rest, '\n');
    std::optional<TensorSpec> tensor = parse_tensor(line);
    if (!tensor) {
      reader.reject(key, line, "of the form 'DTYPE DIMS NAME', as in 'float32 -1,512 x'");
      break;
    }
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

std::optional<Axis> parse_axis(std::string_view text, const std::vector<TensorSpec>& inputs) {
  const auto input = parse_number<std::size_t>(next_part(text, ':'));
  const auto axis = parse_number<std::size_t>(text);
  if (!input || !axis || *input >= inputs.size() || *axis >= inputs[*input].dims.size()) {
    return std::nullopt;
  }
  return Axis{*input, *axis};
}

std::optional<SizeRule> parse_size(std::string_view line, const std::vector<TensorSpec>& inputs) {
  SizeRule rule;
  rule.name = next_part(line, ' ');
  const auto least = parse_number<std::int64_t>(next_part(line, ' '));
  const auto most = parse_number<std::int64_t>(next_part(line, ' '));
  if (rule.name.empty() || !least || !most || line.empty()) return std::nullopt;
  rule.least = *least;
  rule.most = *most;
  while (!line.empty()) {
    const std::optional<Axis> place = parse_axis(next_part(line, ' '), inputs);
    if (!place) return std::nullopt;
    rule.places.push_back(*place);
  }
  return rule;
}

std::vector<std::string> read_lines(OptionReader& reader, std::string_view key) {
  const std::string text = reader.text(key).value_or("");
  std::vector<std::string> lines;
  std::string_view rest = text;
  while (!rest.empty()) lines.emplace_back(next_part(rest, '\n'));
  return lines;
}

}  // namespace

Result<TorchOptions> TorchOptions::parse(const ModelConfig& config) {
  OptionReader reader("torch", config.options);
  TorchOptions options;
  options.kind = reader.choice("kind", Kind::kScript,
                               {{"script", Kind::kScript}, {"package", Kind::kPackage}});
  options.inputs = read_tensors(reader, "inputs");
  options.outputs = read_tensors(reader, "outputs");
  options.states = read_lines(reader, "states");
  options.batchable = reader.boolean("batchable", false);
  options.copy_inputs = reader.boolean("copy_inputs", false);
  options.intra_op_threads =
      static_cast<int>(reader.integer("intra_op_threads", 1, 1, kMostThreads));
  options.runners = static_cast<int>(reader.integer("runners", 1, 1, kMostThreads));
  const std::string device = reader.text("device").value_or("cpu");
  if (const auto devices = device::parse_devices(device)) {
    options.devices = *devices;
  } else {
    reader.reject("device", device, "cpu, cuda:N, or several of those with commas");
  }
  options.slots = static_cast<std::size_t>(reader.integer("slots", 3, 1, device::kMostSlots));
  options.graph_rows = reader.integer("graph_rows", options.graph_rows, 0, device::kMostGraphRows);
  for (const std::string& line : read_lines(reader, "sizes")) {
    std::optional<SizeRule> rule = parse_size(line, options.inputs);
    if (rule) {
      options.sizes.push_back(std::move(*rule));
    } else {
      reader.reject("sizes", line, "of the form 'NAME LEAST MOST INPUT:AXIS...'");
    }
  }
  if (options.kind == Kind::kPackage && !options.states.empty()) {
    reader.reject("states", options.states.front(), "absent: a package has no attributes");
  }
  if (Status status = reader.finish(); !status.is_ok()) return status;
  return options;
}

}  // namespace slipstream::libtorch
