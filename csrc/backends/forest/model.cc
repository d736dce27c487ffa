#include "backends/forest/model.h"

#include <new>
#include <string>
#include <utility>

#include "backends/forest/file.h"
#include "backends/forest/instance.h"
#include "core/helper_pool.h"

namespace slipstream::forest {
namespace {

constexpr std::int64_t kAnyRows = -1;

TensorSpec tensor_spec(const std::string& name, const ValueType& type, bool flat) {
  TensorSpec spec{.name = name, .dtype = type.dtype, .dims = {kAnyRows}};
  if (!flat) spec.dims.push_back(type.width);
  return spec;
}

ModelSpec spec_of(const Program& program) {
  ModelSpec spec;
  for (const ProgramInput& input : program.inputs) {
    spec.inputs.push_back(tensor_spec(input.name, input.type, false));
  }
  for (const ProgramOutput& output : program.outputs) {
    spec.outputs.push_back(tensor_spec(output.name, program.values[output.value], output.flat));
  }
  spec.batchable = true;
  return spec;
}

Status at(const std::string& path, const Status& status) {
  return {status.code(), "forest backend: '" + path + "' does not load: " + status.message()};
}

}  // namespace

Result<std::unique_ptr<Model>> ForestModel::load(const ModelConfig& config) {
  const Result<ForestOptions> options = ForestOptions::parse(config);
  if (!options.is_ok()) return options.status();
  Result<MappedFile> mapped = MappedFile::open(config.path);
  if (!mapped.is_ok()) {
    return Status(mapped.status().code(), "forest backend: " + mapped.status().message());
  }
  const Result<ForestFile> file = ForestFile::parse(mapped.value().bytes());
  if (!file.is_ok()) return at(config.path, file.status());
  Result<Program> program = Program::parse(file.value(), options.value().trees);
  if (!program.is_ok()) return at(config.path, program.status());
  Result<Layout> layout = Layout::make(program.value());
  if (!layout.is_ok()) return at(config.path, layout.status());
  return std::unique_ptr<Model>(
      new ForestModel(std::move(mapped).value(), std::move(program).value(),
                      std::move(layout).value(), options.value().threads));
}

ForestModel::ForestModel(MappedFile file, Program program, Layout layout, std::size_t threads)
    : file_(std::move(file)),
      program_(std::move(program)),
      layout_(std::move(layout)),
      threads_(threads),
      spec_(spec_of(program_)) {
  spare_.reserve(available_cores());
}

Result<std::unique_ptr<Instance>> ForestModel::create_instance() noexcept {
  try {
    return std::unique_ptr<Instance>(new ForestInstance(*this));
  } catch (const std::bad_alloc&) {
    return resource_exhausted("forest backend: out of memory for an instance");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

void ForestModel::learn_row_ns(double measured) noexcept {
  constexpr double kWeight = 0.25;  // of a new measurement; two threads may overwrite each other's
  const double known = row_ns();
  row_ns_.set(known == 0 ? measured : known + kWeight * (measured - known));
}

std::unique_ptr<Workspace> ForestModel::borrow_workspace() {
  {
    const std::scoped_lock lock(mutex_);
    if (!spare_.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(spare_.back());
      spare_.pop_back();
      return workspace;
    }
  }
  return std::make_unique<Workspace>(program_, layout_);
}

void ForestModel::give_back(std::unique_ptr<Workspace> workspace) noexcept {
  const std::scoped_lock lock(mutex_);
  if (spare_.size() < spare_.capacity()) spare_.push_back(std::move(workspace));
}

}  // namespace slipstream::forest
