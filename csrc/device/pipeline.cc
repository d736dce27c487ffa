#include "device/pipeline.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "core/helper_pool.h"

namespace slipstream::device {
namespace {

// From page-locked memory so many bytes are copied where they lie: fewer are gathered sooner than
// the device is told of another copy.
constexpr std::size_t kDirectBytes = std::size_t{64} << 10U;

// Of batches that are alone, one in so many is timed: telling the time costs the host a little.
constexpr std::uint64_t kTimeEvery = 4;

// Where a piece begins in the memory of its input, how much of it there is, and whether the device
// takes it from there.
struct PieceBytes {
  const std::byte* data;
  std::size_t bytes;
  bool is_direct;
};

PieceBytes bytes_of(const Piece& piece, std::size_t input, bool is_batchable,
                    bool may_be_direct) noexcept {
  const Tensor& tensor = piece.inputs[input];
  const std::size_t row_bytes = is_batchable ? tensor.row_bytes() : 0;
  const std::size_t bytes =
      is_batchable ? static_cast<std::size_t>(piece.end_row - piece.begin_row) * row_bytes
                   : tensor.bytes();
  return {.data = tensor.data() + static_cast<std::size_t>(piece.begin_row) * row_bytes,
          .bytes = bytes,
          .is_direct = may_be_direct && tensor.is_pinned() && bytes >= kDirectBytes};
}

bool fits(const TensorSpec& spec, const Tensor& tensor) noexcept {
  return tensor.dtype() == spec.dtype &&
         std::ranges::equal(
             spec.dims, tensor.shape().dims(),
             [](std::int64_t want, std::int64_t have) { return want < 0 || want == have; });
}

// Of the first piece: all of a launch have the same shape but for the number of rows.
Status check_inputs(const ModelSpec& spec, std::span<const Tensor> inputs) {
  if (inputs.size() != spec.inputs.size()) {
    return invalid_argument(std::to_string(inputs.size()) + " inputs given, the model takes " +
                            std::to_string(spec.inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (spec.batchable && inputs[i].rows() != inputs.front().rows()) {
      return invalid_argument("input '" + spec.inputs[i].name + "' has " +
                              std::to_string(inputs[i].rows()) + " rows where '" +
                              spec.inputs.front().name + "' has " +
                              std::to_string(inputs.front().rows()));
    }
    if (fits(spec.inputs[i], inputs[i])) continue;
    return invalid_argument("input '" + spec.inputs[i].name + "' takes " +
                            std::string(dtype_name(spec.inputs[i].dtype)) + " of shape " +
                            to_string(spec.inputs[i].dims) + ", got " +
                            std::string(dtype_name(inputs[i].dtype())) + " of shape " +
                            to_string(inputs[i].shape().dims()));
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::create(std::shared_ptr<Device> device,
                                                   Computation& computation, const ModelSpec& spec,
                                                   PipelineOptions options) {
  if (options.slots == 0) return invalid_argument("a pipeline has at least one slot");
  std::unique_ptr<Pipeline> made(new Pipeline(std::move(device), computation, spec, options));
  if (Status status = made->build(); !status.is_ok()) return status;
  return made;
}

Pipeline::Pipeline(std::shared_ptr<Device> device, Computation& computation, const ModelSpec& spec,
                   PipelineOptions options)
    : device_(std::move(device)), computation_(computation), spec_(spec), options_(options) {
  for (std::size_t i = 0; i < options_.slots; ++i) {
    slots_.push_back(std::make_unique<Slot>(*device_, spec_, i));
    free_.push_back(slots_.back().get());
  }
  in_flight_.reserve(options_.slots);
}

Pipeline::~Pipeline() {
  drain();  // something of a batch that was finished by a loss may go on
  tear_down();
}

Status Pipeline::build() {
  answers_ = PinnedPool::create(device_, options_.answers_bytes);
  for (std::unique_ptr<Stream>* const stream : {&copy_in_, &copy_out_}) {
    Result<std::unique_ptr<Stream>> made = device_->create_stream();
    if (!made.is_ok()) return made.status();
    *stream = std::move(made).value();
  }
  for (const auto& slot : slots_) {
    for (const auto& [event, timing] : {std::pair{&slot->copied_in_, Timing::kNone},
                                        {&slot->computed_, Timing::kNone},
                                        {&slot->done_, Timing::kNone},
                                        {&slot->timed_begin_, Timing::kTimed},
                                        {&slot->timed_end_, Timing::kTimed}}) {
      Result<std::unique_ptr<Event>> made = device_->create_event(timing);
      if (!made.is_ok()) return made.status();
      *event = std::move(made).value();
    }
  }
  Result<std::unique_ptr<Event>> drained = device_->create_event();
  if (!drained.is_ok()) return drained.status();
  drained_ = std::move(drained).value();
  return Status::ok();
}

void Pipeline::tear_down() noexcept {
  for (const auto& slot : slots_) slot->tear_down();
  drained_.reset();
  copy_out_.reset();
  copy_in_.reset();
  if (answers_ != nullptr) answers_->close();
  answers_.reset();
}

// What is its own, and not the whole device: others may be recording on theirs meanwhile, which
// waiting for everything would break.
void Pipeline::drain() noexcept {
  if (drained_ != nullptr && !is_lost()) {
    for (Stream* const stream : {copy_in_.get(), &computation_.stream(), copy_out_.get()}) {
      Status status = stream->record(*drained_);
      if (status.is_ok()) status = wait_for(*drained_);
      if (!status.is_ok()) lost_ = std::move(status);
    }
  }
  if (is_lost()) device_->drain();
}

void Pipeline::expect_rows(std::int64_t rows) noexcept {
  try {
    if (spec_.batchable) make_room(computation_.padded_rows(rows));
  } catch (const std::bad_alloc&) {
    return;  // it grows with the batches that come, then
  }
}

void Pipeline::make_room(std::int64_t rows) {
  constexpr std::size_t kMostBytes = std::size_t{256} << 20U;  // on either side, of all slots
  std::size_t bytes = 0;
  const auto shapes_of = [&](const std::vector<TensorSpec>& specs) {
    std::vector<Shape> shapes;
    for (const TensorSpec& spec : specs) {
      const bool is_fixed =
          !spec.dims.empty() && std::ranges::none_of(spec.dims.begin() + 1, spec.dims.end(),
                                                     [](std::int64_t dim) { return dim < 0; });
      if (!is_fixed) return std::vector<Shape>{};
      shapes.push_back(Shape(spec.dims).with_rows(rows));
      bytes += static_cast<std::size_t>(shapes.back().elements()) * dtype_size(spec.dtype);
    }
    return shapes;
  };
  const std::vector<Shape> inputs = shapes_of(spec_.inputs);
  const std::vector<Shape> outputs = shapes_of(spec_.outputs);
  if (inputs.empty() || outputs.empty() || bytes > kMostBytes / slots_.size()) return;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::size_t output_bytes =
        static_cast<std::size_t>(outputs[i].elements()) * dtype_size(spec_.outputs[i].dtype);
    answers_->reserve(output_bytes, slots_.size() + 1);  // one is on its way to who asked
  }
  for (const auto& slot : slots_) {
    // What finds no memory now is refused when a batch needs it.
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      static_cast<void>(slot->place_input(i, inputs[i]));
    }
    for (std::size_t i = 0; computation_.places_outputs() && i < outputs.size(); ++i) {
      static_cast<void>(slot->place_output(i, outputs[i]));
    }
    slot->clear();
  }
}

void Pipeline::launch(const Launch& launch) noexcept {
  assert(!free_.empty());
  Slot& slot = *free_.back();
  free_.pop_back();
  slot.rows_ = launch.rows;
  slot.padded_rows_ = spec_.batchable ? computation_.padded_rows(launch.rows) : launch.rows;
  slot.outputs_wanted_ = launch.outputs_wanted;
  slot.memory_ = launch.memory;
  slot.is_alone_ = in_flight_.empty();
  slot.is_timed_ = slot.is_alone_ && launches_++ % kTimeEvery == 0;
  try {
    slot.status_ = is_lost() ? lost_ : put(slot, launch);
  } catch (const std::bad_alloc&) {
    slot.status_ = resource_exhausted("out of memory");
  }
  if (!slot.status_.is_ok() && !is_lost()) {
    lost_ = device_->health();  // a refusal, or the news that it is gone
    if (!is_lost() && slot.is_on_device_) abandon(slot);
  }
  in_flight_.push_back(&slot);
  if (launch.wake == nullptr) return;
  // An end that was put on no stream is told here.
  const bool is_told =
      slot.status_.is_ok() && slot.is_on_device_ && !is_lost() && tell_end(slot, launch).is_ok();
  if (!is_told) launch.wake(launch.wake_context);
}

// From the stream of copies out, whatever the batch ran on: what is put on a stream after a call
// waits for the host to have made it.
Status Pipeline::tell_end(Slot& slot, const Launch& launch) noexcept {
  Status status = slot.is_alone_ ? copy_out_->wait(*slot.done_) : Status::ok();
  if (status.is_ok()) status = copy_out_->call(launch.wake, launch.wake_context);
  return status;
}

Status Pipeline::put(Slot& slot, const Launch& launch) {
  if (Status status = check_inputs(spec_, launch.pieces.front().inputs); !status.is_ok()) {
    return status;
  }
  bool is_wanted = false;
  for (std::size_t i = 0; i < spec_.outputs.size(); ++i) is_wanted |= slot.wants(i);
  if (!is_wanted) return Status::ok();
  for (std::size_t i = 0; i < spec_.inputs.size(); ++i) {
    if (Status status = put_input(slot, i, launch); !status.is_ok()) return status;
  }
  slot.is_on_device_ = true;
  Status status = pass_on(in_of(slot), *slot.copied_in_, computation_.stream());
  if (status.is_ok() && slot.is_timed_) status = computation_.stream().record(*slot.timed_begin_);
  if (status.is_ok()) status = computation_.enqueue(slot);
  if (status.is_ok() && slot.is_timed_) status = computation_.stream().record(*slot.timed_end_);
  if (status.is_ok()) status = pass_on(computation_.stream(), *slot.computed_, out_of(slot));
  for (std::size_t i = 0; status.is_ok() && i < spec_.outputs.size(); ++i) {
    if (slot.wants(i)) status = put_output(slot, i);
  }
  if (status.is_ok()) status = out_of(slot).record(*slot.done_);
  if (status.is_ok()) computation_.after_launch(slot);
  return status;
}

// What comes on the second stream begins after what is on the first. On one stream it does anyway.
Status Pipeline::pass_on(Stream& from, Event& event, Stream& to) noexcept {
  if (&from == &to) return Status::ok();
  Status status = from.record(event);
  if (status.is_ok()) status = to.wait(event);
  return status;
}

Stream& Pipeline::in_of(const Slot& slot) noexcept {
  return slot.is_alone_ ? computation_.stream() : *copy_in_;
}

Stream& Pipeline::out_of(const Slot& slot) noexcept {
  return slot.is_alone_ ? computation_.stream() : *copy_out_;
}

Status Pipeline::put_input(Slot& slot, std::size_t input, const Launch& launch) {
  const Shape& of_piece = launch.pieces.front().inputs[input].shape();
  const Result<void*> host =
      slot.place_input(input, spec_.batchable ? of_piece.with_rows(slot.padded_rows_) : of_piece);
  if (!host.is_ok()) return host.status();
  const bool may_be_direct = !computation_.reads_on_host(input);
  std::size_t gathered_bytes = 0;
  for (const Piece& piece : launch.pieces) {
    const PieceBytes from = bytes_of(piece, input, spec_.batchable, may_be_direct);
    if (!from.is_direct) gathered_bytes += from.bytes;
  }
  Gatherer gatherer(static_cast<std::byte*>(host.value()),
                    static_cast<std::byte*>(slot.inputs_[input].address), in_of(slot),
                    HelperPool::shared().hire(Gatherer::helpers_worth(gathered_bytes)), parts_,
                    slot.is_on_device_);
  return gather(gatherer, slot, input, launch);
}

Status Pipeline::gather(Gatherer& gatherer, const Slot& slot, std::size_t input,
                        const Launch& launch) const {
  const bool may_be_direct = !computation_.reads_on_host(input);
  PieceBytes from{};
  for (const Piece& piece : launch.pieces) {
    from = bytes_of(piece, input, spec_.batchable, may_be_direct);
    Status status = from.is_direct ? gatherer.add_direct(from.data, from.bytes)
                                   : gatherer.add(from.data, from.bytes);
    if (!status.is_ok()) return status;
  }
  // Rows that only pad are the last one again, since the model is known to take that: an index out
  // of range, for one, may cost the whole device.
  for (std::int64_t row = slot.rows_; row < slot.padded_rows_; ++row) {
    const std::size_t row_bytes = launch.pieces.back().inputs[input].row_bytes();
    Status status = gatherer.add(from.data + from.bytes - row_bytes, row_bytes);
    if (!status.is_ok()) return status;
  }
  return gatherer.flush();
}

Status Pipeline::put_output(Slot& slot, std::size_t number) {
  Slot::Output& output = slot.outputs_[number];
  if (!output.is_set) {
    return internal_error("the computation did not give output '" + spec_.outputs[number].name +
                          "'");
  }
  // Rows that were only padding are not the requests'.
  const bool is_padded = slot.padded_rows_ != slot.rows_ && output.shape.rank() > 0 &&
                         output.shape[0] == slot.padded_rows_;
  output.host_shape = is_padded ? output.shape.with_rows(slot.rows_) : output.shape;
  const std::size_t bytes =
      static_cast<std::size_t>(output.host_shape.elements()) * dtype_size(output.dtype);
  if (bytes == 0) return Status::ok();
  output.host_owner = answers_->take(bytes);
  output.host = output.host_owner.get();
  if (output.host == nullptr) {
    const Result<void*> own = slot.output_buffers_[number].host.at_least(*device_, bytes);
    if (!own.is_ok()) return own.status();
    output.host = own.value();
  }
  return out_of(slot).copy_to_host(output.host, output.address, bytes);
}

// Part of a batch was put on the device before something was refused: its memory is in use until
// that part is done, on whichever of the streams it is. The device refuses what it has no means
// for, and a mark needs next to none: where even that is refused, the device counts as lost.
void Pipeline::abandon(Slot& slot) noexcept {
  Status status = pass_on(in_of(slot), *slot.copied_in_, computation_.stream());
  if (status.is_ok()) status = pass_on(computation_.stream(), *slot.computed_, out_of(slot));
  if (status.is_ok()) status = out_of(slot).record(*slot.done_);
  if (!status.is_ok()) lost_ = device_->health().is_ok() ? status : device_->health();
}

bool Pipeline::finished(Status& how, std::vector<Tensor>& outputs) noexcept {
  if (in_flight_.empty()) return false;
  Slot& slot = *in_flight_.front();
  if (slot.is_on_device_ && !is_lost()) {
    const Result<bool> is_done = slot.done_->is_done();
    if (!is_done.is_ok()) {
      lost_ = is_done.status();
    } else if (!is_done.value()) {
      return false;
    }
  }
  in_flight_.erase(in_flight_.begin());
  how = std::exchange(slot.status_, Status());
  computed_ns_ = 0;
  if (how.is_ok() && slot.is_timed_ && slot.is_on_device_ && !is_lost()) {
    const Result<Nanoseconds> computed = slot.timed_end_->since(*slot.timed_begin_);
    if (computed.is_ok()) computed_ns_ = computed.value();
  }
  if (how.is_ok() && is_lost()) how = lost_;
  try {
    outputs.clear();
    for (std::size_t i = 0; how.is_ok() && i < spec_.outputs.size(); ++i) {
      outputs.push_back(slot.wants(i) ? take_output(slot, i) : Tensor{});
    }
  } catch (const std::bad_alloc&) {
    how = resource_exhausted("out of memory for the outputs");
  }
  slot.clear();
  free_.push_back(&slot);
  return true;
}

Tensor Pipeline::take_output(Slot& slot, std::size_t number) const {
  Slot::Output& output = slot.outputs_[number];
  if (output.host_owner != nullptr) {
    return Tensor::wrap(output.dtype, std::move(output.host_shape), output.host,
                        std::move(output.host_owner));
  }
  Tensor copy = Tensor::allocate(output.dtype, std::move(output.host_shape), slot.memory_);
  if (output.host != nullptr) std::memcpy(copy.data(), output.host, copy.bytes());
  return copy;
}

Status Pipeline::recover() noexcept {
  assert(in_flight_.empty());
  drain();
  tear_down();
  computation_.tear_down();
  Status status = device_->recover();
  if (status.is_ok()) status = computation_.build();
  try {
    if (status.is_ok()) status = build();
  } catch (const std::bad_alloc&) {
    status = resource_exhausted("out of memory");
  }
  lost_ = status;
  return status;
}

}  // namespace slipstream::device
