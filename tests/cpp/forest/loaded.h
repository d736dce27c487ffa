// Loaded: a forest file in memory, run without a backend or a file on disk.
//
// Threads: one. Ownership: owns a copy of the bytes. Failure: status(); run() needs it to be OK.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/forest/file.h"
#include "backends/forest/layout.h"
#include "backends/forest/plan.h"
#include "backends/forest/program.h"
#include "backends/forest/workspace.h"
#include "core/tensor.h"

namespace slipstream::forest {

class Loaded {
 public:
  explicit Loaded(const std::string& bytes, const std::string& algorithm = "plain")
      : memory_(Tensor::allocate(DType::kUint8, {static_cast<std::int64_t>(bytes.size())})) {
    if (!bytes.empty()) std::memcpy(memory_.data(), bytes.data(), bytes.size());
    options_.algorithm = algorithm;
    status_ = load();
  }

  [[nodiscard]] const Status& status() const noexcept { return status_; }
  [[nodiscard]] const Program& program() const noexcept { return *program_; }
  [[nodiscard]] Layout& layout() noexcept { return *layout_; }

  // The outputs wanted; the others are empty tensors.
  [[nodiscard]] std::vector<Tensor> run(std::span<const Tensor> inputs,
                                        std::uint64_t wanted = ~std::uint64_t{0}) const {
    const std::int64_t rows = inputs.front().rows();
    std::vector<Tensor> outputs(program_->outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (((wanted >> i) & 1U) == 0) continue;
      const ValueType& type = program_->values[program_->outputs[i].value];
      outputs[i] = Tensor::allocate(type.dtype, program_->outputs[i].flat
                                                    ? Shape{rows}
                                                    : Shape{rows, std::int64_t{type.width}});
    }
    const std::uint64_t all = ~std::uint64_t{0} >> (kMaxEnds - outputs.size());
    const Plan plan = Plan::make(*program_, *layout_, wanted & all);
    Workspace workspace(*program_, *layout_);
    workspace.run(plan, inputs, outputs, 0, static_cast<std::size_t>(rows));
    return outputs;
  }

 private:
  Status load() {
    const std::span<const std::byte> bytes(memory_.data(), memory_.bytes());
    Result<ForestFile> file = ForestFile::parse(bytes);
    if (!file.is_ok()) return file.status();
    Result<Program> program = Program::parse(file.value(), options_);
    if (!program.is_ok()) return program.status();
    program_.emplace(std::move(program).value());
    Result<Layout> layout = Layout::make(*program_);
    if (!layout.is_ok()) return layout.status();
    layout_.emplace(std::move(layout).value());
    return Status::ok();
  }

  Tensor memory_;
  CompileOptions options_;
  std::optional<Program> program_;
  std::optional<Layout> layout_;
  Status status_;
};

// Tensors of the values given, row by row.
template <class T>
[[nodiscard]] Tensor tensor_of(DType dtype, std::int64_t width, const std::vector<T>& values) {
  Tensor tensor =
      Tensor::allocate(dtype, {static_cast<std::int64_t>(values.size()) / width, width});
  std::copy(values.begin(), values.end(), tensor.as<T>().begin());
  return tensor;
}
[[nodiscard]] inline Tensor doubles(std::int64_t width, const std::vector<double>& values) {
  return tensor_of(DType::kFloat64, width, values);
}

}  // namespace slipstream::forest
