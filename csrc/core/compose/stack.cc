#include "core/compose/stack.h"

#include <algorithm>
#include <utility>

#include "core/compose/composite_run.h"
#include "core/compose/fan_out.h"

namespace slipstream {
namespace {

template <class Element>
void write_rows(const std::vector<Columns>& blocks, std::span<const std::size_t> widths,
                Tensor& table) {
  auto target = table.as<Element>().begin();
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    for (std::size_t block = 0; block < blocks.size(); ++block) {
      const auto width = static_cast<std::int64_t>(widths[block]);
      const auto begin = blocks[block].values.begin() + row * width;
      target = std::transform(begin, begin + width, target,
                              [](double value) { return static_cast<Element>(value); });
    }
  }
}

class StackPlan : public Plan {
 public:
  explicit StackPlan(StackOptions options) : options_(std::move(options)) {}

  const char* kind() const noexcept override { return "ensemble"; }

  std::size_t awaited(std::size_t members) const noexcept override { return members - 1; }

  Status begin(CompositeRun& run, std::vector<Tensor>&& inputs) const override {
    const std::size_t final_member = options_.readers.size();
    // Before anything is submitted: the last member's answer may come before this returns.
    if (options_.is_passthrough) run.answers()[final_member] = inputs;
    return fan_out(run, inputs, final_member);
  }

  Status advance(CompositeRun& run, std::size_t member,
                 std::vector<Tensor>&& outputs) const override {
    const std::size_t final_member = options_.readers.size();
    if (member == final_member) {
      run.succeed(std::move(outputs));
      return Status::ok();
    }
    if (!run.keep(member, std::move(outputs))) return Status::ok();
    Result<Tensor> table = table_of(run);
    if (!table.is_ok()) return table.status();
    std::vector<Tensor> inputs;
    inputs.push_back(std::move(table).value());
    return run.submit(final_member, std::move(inputs));
  }

 private:
  Result<Tensor> table_of(CompositeRun& run) const {
    const std::size_t final_member = options_.readers.size();
    const std::span<const std::vector<Tensor>> answers(run.answers());
    Result<std::vector<Columns>> read = read_all(options_.readers, answers.first(final_member));
    if (!read.is_ok()) return read.status();
    std::vector<Columns> blocks = std::move(read).value();
    std::vector<std::size_t> widths;
    widths.reserve(options_.readers.size() + 1);
    for (const ColumnReader& reader : options_.readers) widths.push_back(reader.columns());
    if (options_.is_passthrough) {
      const Tensor& rows = answers[final_member].front();
      widths.push_back(static_cast<std::size_t>(rows.shape().elements_per_row()));
      Result<Columns> own =
          read_columns({.member = "input", .width = widths.back()}, answers[final_member]);
      if (!own.is_ok()) return own.status();
      blocks.push_back(std::move(own).value());
    }
    std::int64_t width = 0;
    for (const std::size_t columns : widths) width += static_cast<std::int64_t>(columns);
    const DType dtype = run.members()[final_member].model->spec().inputs.front().dtype;
    Tensor table = Tensor::allocate(dtype, {blocks.front().rows, width});
    if (dtype == DType::kFloat64) {
      write_rows<double>(blocks, widths, table);
    } else {
      write_rows<float>(blocks, widths, table);
    }
    return table;
  }

  const StackOptions options_;
};

Status check_final(const std::string& name, const ModelSpec& spec, const CompositeMember& last,
                   const StackOptions& options) {
  if (last.model == nullptr) return invalid_argument("ensemble '" + name + "' has no final model");
  const std::vector<TensorSpec>& inputs = last.model->spec().inputs;
  const bool takes_rows =
      inputs.size() == 1 && inputs.front().dims.size() == 2 &&
      (inputs.front().dtype == DType::kFloat64 || inputs.front().dtype == DType::kFloat32);
  if (!takes_rows) {
    return invalid_argument("ensemble '" + name + "': its final model '" + last.model->name() +
                            "' does not take rows of numbers");
  }
  std::int64_t width = 0;
  for (const ColumnReader& reader : options.readers) {
    width += static_cast<std::int64_t>(reader.columns());
  }
  if (options.is_passthrough) {
    if (spec.inputs.size() != 1 || spec.inputs.front().dims.size() != 2 ||
        spec.inputs.front().dims[1] < 0) {
      return invalid_argument("ensemble '" + name +
                              "': passthrough takes members of one table of numbers");
    }
    width += spec.inputs.front().dims[1];
  }
  const std::int64_t wanted = inputs.front().dims[1];
  if (wanted < 0 || wanted == width) return Status::ok();
  return invalid_argument("ensemble '" + name + "': its final model '" + last.model->name() +
                          "' takes " + std::to_string(wanted) + " columns, and the members give " +
                          std::to_string(width));
}

}  // namespace

Result<std::unique_ptr<Composite>> make_stack(std::string name, ModelSpec spec,
                                              std::vector<CompositeMember> members,
                                              StackOptions options) {
  if (members.size() < 2 || members.size() != options.readers.size() + 1) {
    return invalid_argument("ensemble '" + name +
                            "' needs a final model and at least one member before it");
  }
  const std::vector<CompositeMember> base(members.begin(), members.end() - 1);
  if (Status status = check_fan_out("ensemble", name, spec, base); !status.is_ok()) return status;
  if (Status status = check_final(name, spec, members.back(), options); !status.is_ok()) {
    return status;
  }
  auto plan = std::make_unique<StackPlan>(std::move(options));
  return std::make_unique<Composite>(std::move(name), std::move(spec), std::move(members),
                                     std::move(plan));
}

}  // namespace slipstream
