// slipstream: Instance::execute of the backend that the server would load, as the server calls it.
//
// The tensors that it answers with are allocated anew in every call, as in the server.
#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "core/backend_loader.h"
#include "core/tensor.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

template <class T>
T value_of(Result<T>&& result) {
  if (!result.is_ok()) throw BenchError("slipstream: " + result.status().message());
  return std::move(result).value();
}

// "a:b" -> a, b
std::vector<std::string> folders(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream stream(text);
  for (std::string folder; std::getline(stream, folder, ':');) found.push_back(folder);
  return found;
}

class Slipstream final : public Rival {
 public:
  explicit Slipstream(const LoadOptions& options) {
    ModelConfig config{.path = options.artifact, .options = options.extra};
    for (const char* const ours : {"backend", "backends", "output"}) config.options.erase(ours);
    BackendRegistry registry(folders(options.require("backends")));
    Backend* const backend = value_of(registry.open(options.require("backend")));
    model_ = value_of(backend->load(config));
    instance_ = value_of(model_->create_instance());
    const ModelSpec& spec = model_->spec();
    if (spec.inputs.size() != 1 || spec.inputs.front().dims.size() != 2) {
      throw BenchError("slipstream: the model does not take one matrix");
    }
    dtype_ = spec.inputs.front().dtype;
    if (dtype_ != DType::kFloat32 && dtype_ != DType::kFloat64) {
      throw BenchError("slipstream: the model takes " + std::string(dtype_name(dtype_)));
    }
    const auto found =
        std::ranges::find(spec.outputs, options.require("output"), &TensorSpec::name);
    if (found == spec.outputs.end()) {
      throw BenchError("slipstream: the model has no output " + options.require("output"));
    }
    output_ = static_cast<std::size_t>(found - spec.outputs.begin());
    outputs_ = found->dims.size() < 2 ? 1 : static_cast<std::size_t>(found->dims[1]);
    columns_ = options.features;
  }

  [[nodiscard]] Element element() const override {
    return dtype_ == DType::kFloat64 ? Element::kFloat64 : Element::kFloat32;
  }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t) override {}

  void predict(const void* rows, std::size_t count) override {
    // A backend reads inputs only; Tensor has no view of constant memory.
    const Tensor input = Tensor::wrap(dtype_, Shape{static_cast<std::int64_t>(count), columns_},
                                      const_cast<void*>(rows), nullptr);
    results_.clear();
    const Status status = instance_->execute(
        {.inputs = {&input, 1}, .outputs_wanted = std::uint64_t{1} << output_}, results_);
    if (!status.is_ok()) throw BenchError("slipstream: " + status.message());
  }

  void answers(std::size_t count, std::span<double> out) const override {
    const Tensor& result = results_[output_];
    for (std::size_t i = 0; i < count * outputs_; ++i) {
      out[i] = result.dtype() == DType::kFloat64 ? result.as<double>()[i]
                                                 : static_cast<double>(result.as<float>()[i]);
    }
  }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<Instance> instance_;  // after its model: destroyed before it
  DType dtype_ = DType::kFloat64;
  std::int64_t columns_ = 0;
  std::size_t output_ = 0;
  std::size_t outputs_ = 1;
  std::vector<Tensor> results_;
};

}  // namespace

std::unique_ptr<Rival> make_slipstream(const LoadOptions& options) {
  return std::make_unique<Slipstream>(options);
}

}  // namespace slipstream::bench
