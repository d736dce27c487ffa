// ONNX Runtime by its C API, with the slots that slipstream's own backend declares.
//
// The answer goes to a tensor made beforehand for each size of batch, so that it allocates nothing;
// only the probabilities are asked for.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "backends/onnx/ort_abi.h"
#include "backends/onnx/ort_runtime.h"
#include "backends/onnx/ort_status.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

using slipstream::onnx::Api;
using slipstream::onnx::Owned;
using slipstream::onnx::Phase;
using slipstream::onnx::Runtime;

const Runtime& runtime_at(const std::string& path) {
  const Result<const Runtime*> opened = Runtime::open(path);
  if (!opened.is_ok()) throw BenchError(opened.status().message());
  return *opened.value();
}

class OnnxRuntime final : public Rival {
 public:
  explicit OnnxRuntime(const LoadOptions& options)
      : runtime_(runtime_at(options.library)),
        api_(runtime_.api),
        session_(nullptr, api_.ReleaseSession),
        columns_(static_cast<std::size_t>(options.features)),
        input_name_(options.require("input")),
        output_name_(options.require("output")),
        outputs_(static_cast<std::size_t>(std::stoul(options.require("outputs")))) {
    OrtSessionOptions* made = nullptr;
    check(api_.CreateSessionOptions(&made));
    const Owned<OrtSessionOptions> settings(made, api_.ReleaseSessionOptions);
    check(api_.SetIntraOpNumThreads(settings.get(), options.threads));
    check(api_.SetInterOpNumThreads(settings.get(), 1));
    check(api_.SetSessionExecutionMode(settings.get(), slipstream::onnx::kSequential));
    check(api_.SetSessionGraphOptimizationLevel(settings.get(), slipstream::onnx::kOptimizeAll));
    OrtSession* session = nullptr;
    check(api_.CreateSession(runtime_.env, options.artifact.c_str(), settings.get(), &session));
    session_.reset(session);
  }

  [[nodiscard]] Element element() const override { return Element::kFloat32; }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }

  void reserve(std::size_t rows) override {
    output_values_.clear();
    results_.resize(rows * outputs_);
  }

  void predict(const void* rows, std::size_t count) override {
    // ONNX Runtime reads inputs only; its signature is what is not const.
    const Owned<OrtValue> input = wrap(const_cast<void*>(rows), count, columns_);
    auto found = output_values_.find(count);
    if (found == output_values_.end()) {
      found = output_values_.emplace(count, wrap(results_.data(), count, outputs_)).first;
    }
    const std::array<const char*, 1> input_names{input_name_.c_str()};
    const std::array<const OrtValue*, 1> inputs{input.get()};
    const std::array<const char*, 1> output_names{output_name_.c_str()};
    std::array<OrtValue*, 1> outputs{found->second.get()};
    check(api_.Run(session_.get(), nullptr, input_names.data(), inputs.data(), 1,
                   output_names.data(), 1, outputs.data()));
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = static_cast<double>(results_[i]);
  }

 private:
  [[nodiscard]] Owned<OrtValue> wrap(void* data, std::size_t count, std::size_t width) const {
    const std::array<std::int64_t, 2> dims{static_cast<std::int64_t>(count),
                                           static_cast<std::int64_t>(width)};
    OrtValue* value = nullptr;
    check(api_.CreateTensorWithDataAsOrtValue(
        runtime_.cpu_memory, data, count * width * sizeof(float), dims.data(), dims.size(),
        slipstream::onnx::kElementFloat, &value));
    return {value, api_.ReleaseValue};
  }

  void check(OrtStatus* status) const {
    if (status == nullptr) return;
    throw BenchError(take_status(api_, status, Phase::kRun, "ONNX Runtime").message());
  }

  const Runtime& runtime_;
  const Api& api_;
  Owned<OrtSession> session_;
  std::size_t columns_;
  std::string input_name_;
  std::string output_name_;
  std::size_t outputs_;
  std::vector<float> results_;
  std::map<std::size_t, Owned<OrtValue>> output_values_;
};

}  // namespace

std::unique_ptr<Rival> make_onnxruntime(const LoadOptions& options) {
  return std::make_unique<OnnxRuntime>(options);
}

}  // namespace slipstream::bench
