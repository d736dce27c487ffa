#include "backends/tensorrt/computation.h"

#include <algorithm>
#include <new>
#include <utility>

#include "backends/tensorrt/refusal.h"
#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {

TensorRtComputation::TensorRtComputation(std::shared_ptr<EngineSource> source, device::Place place,
                                         const Face& face, std::string file)
    : source_(std::move(source)), place_(std::move(place)), face_(face), file_(std::move(file)) {}

TensorRtComputation::~TensorRtComputation() {
  const device::Entered entered(*source_->device());
  drop();
}

void TensorRtComputation::drop() noexcept {
  stream_.reset();  // with the contexts, before the engine that they are of
  engine_.reset();
}

void TensorRtComputation::tear_down() noexcept {
  if (engine_ != nullptr) source_->forget(engine_);
  drop();
}

Status TensorRtComputation::build() noexcept {
  Status status;
  try {
    status = make();
  } catch (const std::bad_alloc&) {
    status = resource_exhausted("out of memory");
  }
  if (status.is_ok()) return status;
  stream_.reset();
  if (engine_ != nullptr) source_->forget_unless_shared(engine_);
  drop();
  return status;
}

Status TensorRtComputation::make() {
  Result<std::shared_ptr<Engine>> engine = source_->engine();
  if (!engine.is_ok()) return engine.status();
  engine_ = std::move(engine).value();
  Result<std::unique_ptr<ContextStream>> stream =
      ContextStream::create(source_->device(), engine_, face_.profile, file_);
  if (!stream.is_ok()) return stream.status();
  stream_ = std::move(stream).value();
  return Status::ok();
}

Status TensorRtComputation::enqueue(device::Slot& slot) noexcept {
  Status status;
  try {
    status = put(slot);
  } catch (const std::bad_alloc&) {
    status = resource_exhausted("out of memory");
  }
  if (!status.is_ok()) stream_->refuse();
  return status;
}

Status TensorRtComputation::put(device::Slot& slot) {
  Status status = set_inputs(slot);
  if (status.is_ok()) status = set_outputs(slot);
  if (!status.is_ok()) return status;
  const Told told;
  auto* const stream = static_cast<cudaStream_t>(stream_->native());
  if (stream_->context().enqueueV3(stream)) return Status::ok();
  return refused(file_, "the execution cannot be begun", told.text());
}

Status TensorRtComputation::set_inputs(const device::Slot& slot) {
  nvinfer1::IExecutionContext& context = stream_->context();
  const std::span<const device::Slot::Input> inputs = slot.inputs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::span<const std::int64_t> dims = inputs[i].shape.dims();
    if (Status status = check_fits(face_, i, dims); !status.is_ok()) return status;
    const Told told;
    const char* const name = face_.spec.inputs[i].name.c_str();
    if (!context.setInputShape(name, dims_of(dims)) ||
        !context.setTensorAddress(name, inputs[i].address)) {
      return refused(file_, std::string("input '") + name + "' is refused", told.text());
    }
  }
  return Status::ok();
}

// Also of those that nobody wants: TensorRT computes them all.
Status TensorRtComputation::set_outputs(device::Slot& slot) {
  nvinfer1::IExecutionContext& context = stream_->context();
  for (std::size_t i = 0; i < face_.spec.outputs.size(); ++i) {
    const Told told;
    const char* const name = face_.spec.outputs[i].name.c_str();
    const nvinfer1::Dims dims = context.getTensorShape(name);
    const auto rank = static_cast<std::size_t>(std::max(dims.nbDims, 0));
    const std::span<const std::int64_t> sizes(dims.d, rank);
    if (dims.nbDims < 0 || std::ranges::any_of(sizes, [](std::int64_t dim) { return dim < 0; })) {
      return refused(file_, std::string("the shape of output '") + name + "' is not known",
                     told.text());
    }
    const Result<void*> place = slot.place_output(i, Shape(sizes));
    if (!place.is_ok()) return place.status();
    if (!context.setTensorAddress(name, place.value())) {
      return refused(file_, std::string("the place of output '") + name + "' is refused",
                     told.text());
    }
  }
  return Status::ok();
}

}  // namespace slipstream::tensorrt
