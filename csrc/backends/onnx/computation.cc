#include "backends/onnx/computation.h"

#include <algorithm>
#include <new>
#include <span>
#include <utility>

#include "backends/onnx/model_spec.h"
#include "backends/onnx/ort_values.h"
#include "backends/onnx/providers.h"
#include "backends/onnx/session.h"

namespace slipstream::onnx {
namespace {

constexpr const char* kDoNotWait = "disable_synchronize_execution_providers";

}  // namespace

OnnxComputation::OnnxComputation(const Runtime& runtime, const OnnxOptions& options,
                                 std::string path, GpuTarget target, device::Place place,
                                 ModelSpec spec)
    : runtime_(runtime),
      options_(options),
      path_(std::move(path)),
      target_(std::move(target)),
      place_(std::move(place)),
      spec_(std::move(spec)),
      is_on_stream_(work_on_stream(options_)),
      memory_(nullptr, runtime.api.ReleaseMemoryInfo),
      run_options_(nullptr, runtime.api.ReleaseRunOptions),
      session_(nullptr, runtime.api.ReleaseSession) {}

OnnxComputation::~OnnxComputation() {
  const device::Entered entered(*target_.device);
  OnnxComputation::tear_down();
}

void OnnxComputation::tear_down() noexcept {
  bound_.clear();
  input_places_.clear();
  session_.reset();  // before the stream that it works on
  stream_.reset();
}

Status OnnxComputation::build() noexcept {
  Status status;
  try {
    status = make();
  } catch (const std::bad_alloc&) {
    status = resource_exhausted("out of memory");
  }
  if (!status.is_ok()) tear_down();
  return status;
}

Status OnnxComputation::make() {
  OrtMemoryInfo* memory = nullptr;
  OrtStatus* const failed = runtime_.api.CreateMemoryInfo(target_.memory_name, kDeviceAllocator,
                                                          target_.ordinal, kDefaultMemory, &memory);
  memory_.reset(memory);
  if (failed) return check(failed);
  Result<std::unique_ptr<device::Stream>> stream = target_.device->create_stream();
  if (!stream.is_ok()) return stream.status();
  stream_ = std::move(stream).value();
  const bool is_known = !spec_.outputs.empty();
  const ProviderContext context{.runtime = runtime_,
                                .options = options_,
                                .ordinal = target_.ordinal,
                                .compute_stream = stream_->native(),
                                .spec = is_known ? &spec_ : nullptr};
  Result<Owned<OrtSession>> session = create_session(context, path_);
  if (!session.is_ok()) return session.status();
  session_ = std::move(session).value();
  if (!is_known) {
    Result<ModelSpec> spec = read_model_spec(runtime_, session_.get(), options_.batchable);
    if (!spec.is_ok()) return spec.status();
    spec_ = std::move(spec).value();
  }
  if (Status status = find_input_places(); !status.is_ok()) return status;
  return make_run_options();
}

Status OnnxComputation::find_input_places() {
  std::vector<const OrtMemoryInfo*> found(spec_.inputs.size());
  if (found.empty()) return Status::ok();
  if (OrtStatus* const failed = runtime_.locations.SessionGetMemoryInfoForInputs(
          session_.get(), found.data(), found.size())) {
    return check(failed);
  }
  for (const OrtMemoryInfo* memory : found) {
    const bool is_there = !is_of_host(memory) || target_.is_host_memory_its;
    // Without our stream nothing tells ONNX Runtime when an input has arrived on the device.
    const bool is_sessions = memory != nullptr && is_on_stream_;
    input_places_.push_back({.memory = is_sessions ? memory : runtime_.cpu_memory,
                             .is_on_host = !is_there || !is_sessions});
  }
  return Status::ok();
}

// A run returns when all is on the stream, which orders what follows. It has to end before where
// providers do not work on that stream, and where an output is made on the host: ONNX Runtime gives
// that memory back when the run returns, while it may still be copied to the device.
Status OnnxComputation::make_run_options() {
  std::vector<const OrtMemoryInfo*> found(spec_.outputs.size());
  OrtRunOptions* run_options = nullptr;
  OrtStatus* failed =
      runtime_.locations.SessionGetMemoryInfoForOutputs(session_.get(), found.data(), found.size());
  if (!failed) failed = runtime_.api.CreateRunOptions(&run_options);
  run_options_.reset(run_options);
  const bool is_any_of_host =
      !target_.is_host && std::ranges::any_of(found, [this](const OrtMemoryInfo* memory) {
        return is_of_host(memory);
      });
  if (!failed && is_on_stream_ && !is_any_of_host) {
    failed = runtime_.api.AddRunConfigEntry(run_options, kDoNotWait, "1");
  }
  return check(failed);
}

bool OnnxComputation::is_of_host(const OrtMemoryInfo* memory) const noexcept {
  int kind = kHostDevice;
  if (memory != nullptr) runtime_.api.MemoryInfoGetDeviceType(memory, &kind);
  return kind == kHostDevice;
}

Status OnnxComputation::enqueue(device::Slot& slot) noexcept {
  try {
    return run(slot);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

Status OnnxComputation::run(device::Slot& slot) {
  const Result<Bound*> found = bound(slot.number());
  if (!found.is_ok()) return found.status();
  Bound& bound = *found.value();
  if (Status status = place_outputs(slot, bound); !status.is_ok()) return status;
  const bool is_same =
      bound.moves == slot.moves() && bound.outputs_wanted == slot.outputs_wanted() &&
      std::ranges::equal(bound.inputs, slot.inputs(), {}, {}, &device::Slot::Input::shape);
  if (Status status = bind(slot, bound, is_same ? What::kChanging : What::kAll); !status.is_ok()) {
    bound.moves = ~std::uint64_t{0};
    return status;
  }
  if (!is_on_stream_) {
    if (OrtStatus* const failed = runtime_.api.SynchronizeBoundInputs(bound.binding.get())) {
      return check(failed);
    }
  }
  if (OrtStatus* const failed =
          runtime_.api.RunWithBinding(session_.get(), run_options_.get(), bound.binding.get())) {
    return check(failed);
  }
  return take_outputs(slot, bound);
}

Result<OnnxComputation::Bound*> OnnxComputation::bound(std::size_t slot) {
  if (bound_.size() <= slot) bound_.resize(slot + 1);
  if (bound_[slot] == nullptr) {
    OrtIoBinding* made = nullptr;
    if (OrtStatus* const failed = runtime_.api.CreateIoBinding(session_.get(), &made)) {
      return check(failed);
    }
    bound_[slot] =
        std::make_unique<Bound>(Owned<OrtIoBinding>(made, runtime_.api.ReleaseIoBinding));
  }
  return bound_[slot].get();
}

// What ONNX Runtime allocated for an output stays in the binding, and the next run would have to
// fit into it: it is asked to allocate again every time. And it is told every time of inputs on the
// host, of which it may take a copy.
Status OnnxComputation::bind(device::Slot& slot, Bound& bound, What what) {
  if (what == What::kAll) {
    runtime_.api.ClearBoundInputs(bound.binding.get());
    runtime_.api.ClearBoundOutputs(bound.binding.get());
    bound.inputs.clear();
    for (const device::Slot::Input& input : slot.inputs()) bound.inputs.push_back(input.shape);
  }
  for (std::size_t i = 0; i < spec_.inputs.size(); ++i) {
    if (what == What::kChanging && !reads_on_host(i)) continue;
    if (Status status = bind_input(slot, bound, i); !status.is_ok()) return status;
  }
  for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
    if (!slot.wants(i) || (what == What::kChanging && is_fixed(i))) continue;
    if (Status status = bind_output(slot, bound, i); !status.is_ok()) return status;
  }
  bound.moves = slot.moves();
  bound.outputs_wanted = slot.outputs_wanted();
  return Status::ok();
}

Status OnnxComputation::bind_input(const device::Slot& slot, const Bound& bound,
                                   std::size_t input) {
  const device::Slot::Input& placed = slot.inputs()[input];
  const TensorSpec& spec = spec_.inputs[input];
  void* const address = reads_on_host(input) ? placed.host : placed.address;
  const Result<Owned<OrtValue>> value =
      value_at(input_places_[input].memory, address, spec, placed.shape);
  if (!value.is_ok()) return value.status();
  return check(runtime_.api.BindInput(bound.binding.get(), spec.name.c_str(), value.value().get()));
}

Status OnnxComputation::bind_output(const device::Slot& slot, const Bound& bound,
                                    std::size_t output) {
  const Api& api = runtime_.api;
  const TensorSpec& spec = spec_.outputs[output];
  if (!is_fixed(output)) {
    return check(api.BindOutputToDevice(bound.binding.get(), spec.name.c_str(), memory_.get()));
  }
  const Result<Owned<OrtValue>> value =
      value_at(memory_.get(), bound.outputs[output], spec, slot.output_shape(output));
  if (!value.is_ok()) return value.status();
  return check(api.BindOutput(bound.binding.get(), spec.name.c_str(), value.value().get()));
}

Status OnnxComputation::place_outputs(device::Slot& slot, Bound& bound) const {
  bound.outputs.resize(spec_.outputs.size());
  for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
    if (!slot.wants(i) || !is_fixed(i)) continue;
    const Result<void*> address = slot.place_output(i, fixed_shape(i, slot.padded_rows()));
    if (!address.is_ok()) return address.status();
    bound.outputs[i] = address.value();
  }
  return Status::ok();
}

// What ONNX Runtime allocated itself goes to the slot.
Status OnnxComputation::take_outputs(device::Slot& slot, const Bound& bound) {
  bool is_all_fixed = true;
  for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
    is_all_fixed &= !slot.wants(i) || is_fixed(i);
  }
  if (is_all_fixed) return Status::ok();
  OrtValue** values = nullptr;
  std::size_t count = 0;
  if (OrtStatus* const failed = runtime_.api.GetBoundOutputValues(
          bound.binding.get(), runtime_.allocator, &values, &count)) {
    return check(failed);
  }
  std::vector<Owned<OrtValue>> owned;
  owned.reserve(count);
  for (OrtValue* const value : std::span(values, count)) {
    owned.emplace_back(value, runtime_.api.ReleaseValue);
  }
  if (Status status =
          check(runtime_.api.AllocatorFree(runtime_.allocator, static_cast<void*>(values)));
      !status.is_ok()) {
    return status;
  }
  std::size_t next = 0;  // in the order in which they were bound
  for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
    if (!slot.wants(i)) continue;
    Owned<OrtValue>& value = owned.at(next++);
    if (is_fixed(i)) continue;
    Result<Tensor> tensor = to_tensor(runtime_, std::move(value), spec_.outputs[i].name,
                                      std::pmr::new_delete_resource());
    if (!tensor.is_ok()) return tensor.status();
    Tensor& made = tensor.value();
    slot.set_output(i, made.shape(), made.data(), made.owner());
  }
  return Status::ok();
}

Result<Owned<OrtValue>> OnnxComputation::value_at(const OrtMemoryInfo* memory, void* address,
                                                  const TensorSpec& spec,
                                                  const Shape& shape) const {
  OrtValue* value = nullptr;
  const std::size_t bytes = static_cast<std::size_t>(shape.elements()) * dtype_size(spec.dtype);
  if (OrtStatus* const failed = runtime_.api.CreateTensorWithDataAsOrtValue(
          memory, address, bytes, shape.dims().data(), shape.rank(), element_type_of(spec.dtype),
          &value)) {
    return take_status(runtime_.api, failed, Phase::kRun,
                       "onnx backend: tensor '" + spec.name + "'");
  }
  return Owned<OrtValue>(value, runtime_.api.ReleaseValue);
}

Status OnnxComputation::check(OrtStatus* failed) const {
  return take_status(runtime_.api, failed, Phase::kRun, "onnx backend");
}

bool OnnxComputation::is_fixed(std::size_t output) const noexcept {
  const std::vector<std::int64_t>& dims = spec_.outputs[output].dims;
  const std::size_t open = spec_.batchable ? 1 : 0;  // the rows are known
  return !dims.empty() && std::ranges::all_of(std::span(dims).subspan(std::min(open, dims.size())),
                                              [](std::int64_t dim) { return dim >= 0; });
}

Shape OnnxComputation::fixed_shape(std::size_t output, std::int64_t rows) const {
  Shape shape{std::span<const std::int64_t>(spec_.outputs[output].dims)};
  if (spec_.batchable) shape.set_dim(0, rows);
  return shape;
}

}  // namespace slipstream::onnx
