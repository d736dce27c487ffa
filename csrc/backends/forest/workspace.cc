#include "backends/forest/workspace.h"

#include <algorithm>
#include <cstring>

namespace slipstream::forest {
namespace {

// Values begin on cache lines: an offset is a multiple of 8 bytes, times a multiple of 8 rows.
constexpr std::size_t kPaddedRows = 8;

std::byte* new_arena(std::size_t bytes) {
  return static_cast<std::byte*>(
      ::operator new(std::max<std::size_t>(bytes, 1), std::align_val_t{Tensor::kAlignment}));
}

}  // namespace

Workspace::Workspace(const Program& program, const Layout& layout)
    : program_(program),
      layout_(layout),
      arena_(new_arena(layout.row_bytes * layout.block_rows)),
      values_(program.values.size()),
      scratches_(program.steps.size()),
      strings_(program.steps.size()) {
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = *program.steps[i];
    scratches_[i] = step.make_scratch(layout.block_rows);
    if (step.result().dtype == DType::kString && !step.view()) {
      strings_[i].resize(layout.block_rows * step.result().width);
    }
  }
}

void Workspace::run(const Plan& plan, std::span<const Tensor> inputs, std::span<Tensor> outputs,
                    std::size_t begin, std::size_t end) {
  while (begin < end) {
    const std::size_t rows = std::min(end - begin, layout_.block_rows);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueType& type = program_.values[i];
      values_[i] = {.data = inputs[i].data() + begin * type.row_bytes(), .stride = type.width};
    }
    run_block(plan, outputs, begin, rows);
    begin += rows;
  }
}

void Workspace::run_block(const Plan& plan, std::span<Tensor> outputs, std::size_t begin,
                          std::size_t rows) {
  // Few rows lie close together, whatever a block could hold.
  const std::size_t padded_rows =
      std::min((rows + kPaddedRows - 1) / kPaddedRows * kPaddedRows, layout_.block_rows);
  for (const PlannedStep& item : plan.steps) {
    if (item.step == nullptr) {
      const Columns& source = values_[item.source];
      values_[item.value] = {.data = static_cast<const std::byte*>(source.data) + item.source_bytes,
                             .stride = source.stride};
      continue;
    }
    void* const out = place(item, outputs, begin, padded_rows);
    values_[item.value] = {.data = out, .stride = item.width};
    item.step->run({.rows = rows,
                    .values = values_.data(),
                    .out = out,
                    .scratch = scratches_[item.index].get()});
  }
  for (const PlannedCopy& copy : plan.copies) {
    copy_out(copy, outputs[copy.output], begin, rows);
  }
}

void* Workspace::place(const PlannedStep& item, std::span<Tensor> outputs, std::size_t begin,
                       std::size_t padded_rows) {
  if (item.output != kNoOutput) return outputs[item.output].data() + begin * item.row_bytes;
  if (item.row_offset != Layout::kNowhere) return arena_.get() + item.row_offset * padded_rows;
  return strings_[item.index].data();
}

void Workspace::copy_out(const PlannedCopy& copy, Tensor& output, std::size_t begin,
                         std::size_t rows) const {
  const ValueType& type = program_.values[copy.value];
  const Columns& value = values_[copy.value];
  if (type.dtype == DType::kString) {
    std::string* to = output.strings().data() + begin * type.width;
    for (std::size_t row = 0; row < rows; ++row) {
      to = std::copy_n(value.row<std::string>(row), type.width, to);
    }
    return;
  }
  const std::size_t row_bytes = type.row_bytes();
  const std::size_t stride_bytes = value.stride * dtype_size(type.dtype);
  const auto* from = static_cast<const std::byte*>(value.data);
  std::byte* to = output.data() + begin * row_bytes;
  for (std::size_t row = 0; row < rows; ++row) {
    std::memcpy(to, from, row_bytes);
    from += stride_bytes;
    to += row_bytes;
  }
}

}  // namespace slipstream::forest
