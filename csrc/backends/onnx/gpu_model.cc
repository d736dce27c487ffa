#include "backends/onnx/gpu_model.h"

#include <algorithm>
#include <new>
#include <utility>

#include "backends/onnx/graph_loops.h"
#include "backends/onnx/model_spec.h"
#include "backends/onnx/provider_words.h"
#include "backends/onnx/providers.h"
#include "backends/onnx/session.h"
#include "core/mapped_file.h"
#include "device/device_instance.h"

namespace slipstream::onnx {
namespace {

Status check_types(const ModelSpec& spec) {
  for (const auto* const side : {&spec.inputs, &spec.outputs}) {
    const auto text = std::ranges::find(*side, DType::kString, &TensorSpec::dtype);
    if (text == side->end()) continue;
    return invalid_argument("onnx backend: '" + text->name +
                            "' holds text, which no GPU takes; load the model on the cpu");
  }
  return Status::ok();
}

// Of the same file on the GPU and as it is, by CUDA alone.
Result<Owned<OrtSession>> create_cuda_session(const Runtime& runtime, const OnnxOptions& options,
                                              const std::string& path, const GpuTarget& target,
                                              device::Stream& stream) {
  OnnxOptions plain = options;
  plain.providers = {"cuda"};
  plain.provider_options.clear();
  plain.graph_optimization = kOptimizeNothing;
  return create_session({.runtime = runtime,
                         .options = plain,
                         .ordinal = target.ordinal,
                         .compute_stream = stream.native()},
                        path);
}

// What the tensorrt provider is to know before its session is made, which would tell: the shapes to
// build engines for. Preferably on the CPU, since a second session on the GPU may not fit there;
// but it has not all operators in all types. Empty where no provider asks.
Result<ModelSpec> spec_beforehand(const Runtime& runtime, const OnnxOptions& options,
                                  const std::string& path, const GpuTarget& target) {
  if (std::ranges::find(options.providers, "tensorrt") == options.providers.end()) {
    return ModelSpec{};
  }
  const device::Entered entered(*target.device);
  Result<std::unique_ptr<device::Stream>> stream = target.device->create_stream();
  if (!stream.is_ok()) return stream.status();
  Result<Owned<OrtSession>> session = create_plain_session(runtime, path);
  if (!session.is_ok()) {
    session = create_cuda_session(runtime, options, path, target, *stream.value());
  }
  if (!session.is_ok()) return session.status();
  Result<ModelSpec> spec = read_model_spec(runtime, session.value().get(), options.batchable);
  if (spec.is_ok()) spec.value().max_rows = most_rows(options, spec.value());
  return spec;
}

}  // namespace

OnnxGpuModel::OnnxGpuModel(const Runtime& runtime, OnnxOptions options, std::string path,
                           std::vector<GpuTarget> targets, bool may_loop)
    : runtime_(runtime),
      options_(std::move(options)),
      path_(std::move(path)),
      targets_(std::move(targets)),
      may_loop_(may_loop),
      places_(targets_.size()) {}

Status OnnxGpuModel::try_out() {
  Result<ModelSpec> beforehand = spec_beforehand(runtime_, options_, path_, targets_.front());
  if (!beforehand.is_ok()) return beforehand.status();
  spec_ = std::move(beforehand).value();
  Result<std::unique_ptr<OnnxComputation>> made = make_computation();
  if (!made.is_ok()) return made.status();
  first_ = std::move(made).value();
  spec_ = first_->spec();
  return check_types(spec_);
}

Result<std::unique_ptr<OnnxComputation>> OnnxGpuModel::make_computation() {
  device::Place place = places_.take();
  const GpuTarget& target = targets_[place.index()];
  auto made =
      std::make_unique<OnnxComputation>(runtime_, options_, path_, target, std::move(place), spec_);
  const device::Entered entered(*target.device);
  if (Status status = made->build(); !status.is_ok()) return status;
  return made;
}

Result<std::unique_ptr<Instance>> OnnxGpuModel::create_instance() noexcept {
  try {
    return create();
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

Result<std::unique_ptr<Instance>> OnnxGpuModel::create() {
  std::unique_ptr<OnnxComputation> computation;
  {
    const std::scoped_lock lock(mutex_);
    computation = std::move(first_);
  }
  if (computation == nullptr) {
    Result<std::unique_ptr<OnnxComputation>> made = make_computation();
    if (!made.is_ok()) return made.status();
    computation = std::move(made).value();
  }
  std::shared_ptr<device::Device> device = computation->device();
  return device::DeviceInstance::create(std::move(device), std::move(computation), spec_,
                                        {.slots = options_.gpu->slots});
}

Result<std::unique_ptr<Model>> load_gpu_model(const Runtime& runtime, const OnnxOptions& options,
                                              const std::string& path) {
  if (Status status = check_providers(runtime, options); !status.is_ok()) return status;
  if (runtime.locations.SessionGetMemoryInfoForInputs == nullptr) {
    return failed_precondition(
        "onnx backend: models on GPUs need ONNX Runtime 1.23 or later, which tells what a model "
        "reads on the host; " +
        runtime.path + " is " + runtime.version);
  }
  std::vector<GpuTarget> targets;
  for (const int ordinal : options.gpu->devices) {
    Result<GpuTarget> target = open_gpu(ordinal);
    if (!target.is_ok()) {
      return Status(target.status().code(), "onnx backend: " + target.status().message());
    }
    targets.push_back(std::move(target).value());
    if (targets.back().is_host) continue;
    if (Status status = check_on_gpu(options); !status.is_ok()) return status;
  }
  const Result<MappedFile> file = MappedFile::open(path);
  const bool loops = !file.is_ok() || may_loop(file.value().bytes());
  auto model = std::make_unique<OnnxGpuModel>(runtime, options, path, std::move(targets), loops);
  if (Status status = model->try_out(); !status.is_ok()) return status;
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace slipstream::onnx
