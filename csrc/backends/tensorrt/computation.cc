#include "backends/tensorrt/computation.h"

#include <algorithm>
#include <new>
#include <utility>

#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {
namespace {

Status failure(const std::string& file, const std::string& what, const Told& told) {
  const std::string text = told.text();
  return internal_error("tensorrt backend: " + file + ": " + what +
                        (text.empty() ? "" : ". TensorRT says: " + text));
}

}  // namespace

Result<std::unique_ptr<device::Computation>> TensorRtComputation::create(
    std::shared_ptr<EngineSource> source, std::shared_ptr<device::Device> device, const Face& face,
    std::string file) {
  std::unique_ptr<TensorRtComputation> made(
      new TensorRtComputation(std::move(source), std::move(device), face, std::move(file)));
  if (Status status = made->make_context(); !status.is_ok()) return status;
  return std::unique_ptr<device::Computation>(std::move(made));
}

TensorRtComputation::TensorRtComputation(std::shared_ptr<EngineSource> source,
                                         std::shared_ptr<device::Device> device, const Face& face,
                                         std::string file)
    : source_(std::move(source)), device_(std::move(device)), face_(face), file_(std::move(file)) {}

TensorRtComputation::~TensorRtComputation() {
  if (context_ != nullptr) engine_->give_up(std::move(context_));
}

Status TensorRtComputation::make_context() {
  Result<std::shared_ptr<Engine>> engine = source_->other_than(engine_);
  if (context_ != nullptr) engine_->give_up(std::move(context_));
  engine_ = engine.is_ok() ? engine.value() : nullptr;
  if (!engine.is_ok()) return engine.status();
  const Told told;
  context_.reset(engine_->get().createExecutionContext());
  has_profile_ = face_.profile == 0;
  if (context_ != nullptr) return Status::ok();
  const std::string text = told.text();
  return resource_exhausted("tensorrt backend: " + file_ +
                            ": no execution context can be made, as a rule for want of memory on " +
                            device_->name() + " (" +
                            std::to_string(engine_->get().getDeviceMemorySizeV2() >> 20U) +
                            " MiB an instance): use fewer instances, or unload another model" +
                            (text.empty() ? "" : ". TensorRT says: " + text));
}

Status TensorRtComputation::rebuild() noexcept {
  try {
    return make_context();
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

Status TensorRtComputation::enqueue(device::Stream& stream, device::Slot& slot) noexcept {
  try {
    return put(stream, slot);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

Status TensorRtComputation::put(device::Stream& stream, device::Slot& slot) {
  if (context_ == nullptr) return unavailable("tensorrt backend: " + file_ + " lost its device");
  auto* const native = static_cast<cudaStream_t>(stream.native());
  if (!has_profile_) {
    const Told told;
    if (!context_->setOptimizationProfileAsync(face_.profile, native)) {
      return failure(file_, "its optimization profile cannot be set", told);
    }
    has_profile_ = true;
  }
  Status status = set_inputs(slot);
  if (status.is_ok()) status = set_outputs(slot);
  if (!status.is_ok()) return status;
  const Told told;
  if (context_->enqueueV3(native)) return Status::ok();
  return failure(file_, "the execution cannot be begun", told);
}

Status TensorRtComputation::set_inputs(const device::Slot& slot) {
  const std::span<const device::Slot::Input> inputs = slot.inputs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::span<const std::int64_t> dims = inputs[i].shape.dims();
    if (Status status = check_fits(face_, i, dims); !status.is_ok()) return status;
    const Told told;
    const char* const name = face_.spec.inputs[i].name.c_str();
    if (!context_->setInputShape(name, dims_of(dims)) ||
        !context_->setTensorAddress(name, inputs[i].address)) {
      return failure(file_, std::string("input '") + name + "' is refused", told);
    }
  }
  return Status::ok();
}

// Also of those that nobody wants: TensorRT computes them all.
Status TensorRtComputation::set_outputs(device::Slot& slot) {
  for (std::size_t i = 0; i < face_.spec.outputs.size(); ++i) {
    const Told told;
    const char* const name = face_.spec.outputs[i].name.c_str();
    const nvinfer1::Dims dims = context_->getTensorShape(name);
    const auto rank = static_cast<std::size_t>(std::max(dims.nbDims, 0));
    const std::span<const std::int64_t> sizes(dims.d, rank);
    if (dims.nbDims < 0 || std::ranges::any_of(sizes, [](std::int64_t dim) { return dim < 0; })) {
      return failure(file_, std::string("the shape of output '") + name + "' is not known", told);
    }
    const Result<void*> place = slot.place_output(i, Shape(sizes));
    if (!place.is_ok()) return place.status();
    if (!context_->setTensorAddress(name, place.value())) {
      return failure(file_, std::string("the place of output '") + name + "' is refused", told);
    }
  }
  return Status::ok();
}

}  // namespace slipstream::tensorrt
