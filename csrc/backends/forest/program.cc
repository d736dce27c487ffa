#include "backends/forest/program.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "backends/forest/byte_reader.h"
#include "backends/forest/steps/registry.h"
#include "backends/forest/steps/text_table.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kRecordAlignment = 8;
constexpr std::uint32_t kMaxNameBytes = 1024;

Status cut_off(const std::string& where) {
  return invalid_argument(where + ": the record is cut off or has bytes where zeros belong");
}

bool is_input_type(std::uint32_t dtype) {
  constexpr DType kAllowed[] = {DType::kFloat64, DType::kFloat32, DType::kInt64, DType::kBool,
                                DType::kString};
  return std::ranges::any_of(
      kAllowed, [dtype](DType one) { return static_cast<std::uint32_t>(one) == dtype; });
}

// Names reach clients as they are: text, not empty, no two alike.
Status check_name(const std::string& where, std::string_view name, auto& earlier) {
  if (name.empty() || name.size() > kMaxNameBytes || !is_utf8(name)) {
    return invalid_argument(where + ": its name is empty, longer than 1024 bytes or no UTF-8");
  }
  if (std::ranges::any_of(earlier, [name](const auto& one) { return one.name == name; })) {
    return invalid_argument(where + ": its name '" + std::string(name) + "' is taken");
  }
  return Status::ok();
}

class Parser {
 public:
  Parser(const ForestFile& file, const CompileOptions& trees)
      : file_(file), reader_(file.program), trees_(trees), taken_(file.arrays.size(), false) {}

  Result<Program> parse() {
    for (std::uint32_t i = 0; i < file_.inputs; ++i) {
      if (Status status = read_input("input " + std::to_string(i)); !status.is_ok()) return status;
    }
    for (std::uint32_t i = 0; i < file_.steps; ++i) {
      if (Status status = read_step("step " + std::to_string(i)); !status.is_ok()) return status;
    }
    for (std::uint32_t i = 0; i < file_.outputs; ++i) {
      if (Status status = read_output("output " + std::to_string(i)); !status.is_ok())
        return status;
    }
    if (reader_.left() != 0) return invalid_argument("bytes follow the last output");
    return std::move(program_);
  }

 private:
  Status read_input(const std::string& where) {
    const std::uint32_t dtype = reader_.u32();
    const std::uint32_t width = reader_.u32();
    const std::string_view name = read_name();
    if (!reader_.ok()) return cut_off(where);
    if (!is_input_type(dtype)) {
      return invalid_argument(where + ": its dtype is none that an input may have");
    }
    if (width == 0 || width > kMaxWidth) {
      return invalid_argument(where + ": it has " + std::to_string(width) +
                              " columns, not 1 to 2^20");
    }
    if (Status status = check_name(where, name, program_.inputs); !status.is_ok()) return status;
    const ValueType type{.dtype = static_cast<DType>(dtype), .width = width};
    program_.inputs.push_back({.name = std::string(name), .type = type});
    program_.values.push_back(type);
    return Status::ok();
  }

  Status read_output(const std::string& where) {
    const std::uint32_t value = reader_.u32();
    const std::uint32_t flat = reader_.u32();
    const std::string_view name = read_name();
    if (!reader_.ok()) return cut_off(where);
    if (value >= program_.values.size()) {
      return invalid_argument(where + ": there is no value " + std::to_string(value));
    }
    if (flat > 1 || (flat == 1 && program_.values[value].width != 1)) {
      return invalid_argument(where + ": only a value of one column can be flat");
    }
    if (Status status = check_name(where, name, program_.outputs); !status.is_ok()) return status;
    program_.outputs.push_back({.name = std::string(name), .value = value, .flat = flat == 1});
    return Status::ok();
  }

  // `u32 name bytes, u32 zero, name`, padded.
  std::string_view read_name() {
    const std::uint32_t bytes = reader_.u32();
    const std::uint32_t zero = reader_.u32();
    const std::string_view name = reader_.text(zero == 0 ? bytes : UINT64_MAX);
    reader_.align(kRecordAlignment);
    return name;
  }

  Status read_step(const std::string& where) {
    const std::uint32_t code = reader_.u32();
    const std::uint32_t inputs = reader_.u32();
    const std::uint32_t arrays = reader_.u32();
    const std::uint32_t scalars = reader_.u32();
    const std::uint64_t bytes = 4ULL * inputs + 4ULL * arrays + 8ULL * scalars;
    if (!reader_.ok() || bytes > reader_.left()) return cut_off(where);
    const OpEntry* const op = find_op(code);
    if (op == nullptr) {
      return invalid_argument(where + ": there is no op " + std::to_string(code) +
                              "; convert the model again with this slipstream");
    }
    const std::string name = where + " (" + std::string(op->name) + ")";
    StepSpec spec;
    spec.trees = &trees_;
    if (Status status = read_operands(name, inputs, arrays, scalars, spec); !status.is_ok()) {
      return status;
    }
    StepResult step = op->make(spec);
    if (!step.is_ok()) return {step.status().code(), name + ": " + step.status().message()};
    program_.values.push_back(step.value()->result());
    program_.steps.push_back(std::move(step).value());
    return Status::ok();
  }

  Status read_operands(const std::string& where, std::uint32_t inputs, std::uint32_t arrays,
                       std::uint32_t scalars, StepSpec& spec) {
    for (std::uint32_t i = 0; i < inputs; ++i) {
      const std::uint32_t id = reader_.u32();
      if (id >= program_.values.size()) {
        return invalid_argument(where + ": it reads value " + std::to_string(id) +
                                ", which does not come before it");
      }
      spec.inputs.push_back(id);
      spec.types.push_back(program_.values[id]);
    }
    for (std::uint32_t i = 0; i < arrays; ++i) {
      const std::uint32_t id = reader_.u32();
      if (id >= file_.arrays.size()) {
        return invalid_argument(where + ": there is no array " + std::to_string(id));
      }
      if (taken_[id]) {
        return invalid_argument(where + ": array " + std::to_string(id) + " is another step's");
      }
      taken_[id] = true;
      spec.arrays.push_back(file_.arrays[id]);
    }
    reader_.align(kRecordAlignment);
    for (std::uint32_t i = 0; i < scalars; ++i) spec.scalars.push_back(reader_.number<double>());
    return reader_.ok() ? Status::ok() : cut_off(where);
  }

  const ForestFile& file_;
  ByteReader reader_;
  const CompileOptions& trees_;
  std::vector<bool> taken_;  // by array: whether a step has it
  Program program_;
};

}  // namespace

Result<Program> Program::parse(const ForestFile& file, const CompileOptions& trees) {
  return Parser(file, trees).parse();
}

}  // namespace slipstream::forest
