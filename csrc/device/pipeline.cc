#include "device/pipeline.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace slipstream::device {
namespace {

constexpr std::size_t kAlignment = 256;  // of each tensor, as device libraries want it

std::size_t aligned(std::size_t bytes) noexcept {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::create(Device& device, Computation& computation,
                                                   PipelineSpec spec) {
  if (spec.slots == 0 || spec.max_rows == 0) {
    return invalid_argument("a pipeline has at least one slot of one row");
  }
  std::unique_ptr<Pipeline> made(new Pipeline(device, computation, std::move(spec)));
  if (Status status = made->build(); !status.is_ok()) return status;
  return made;
}

Pipeline::Pipeline(Device& device, Computation& computation, PipelineSpec spec)
    : device_(device), computation_(computation), spec_(std::move(spec)) {
  for (std::size_t i = 0; i < spec_.slots; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->number_ = i;
    free_.push_back(slots_.back().get());
  }
}

Pipeline::~Pipeline() {
  device_.drain();  // something of a batch that was finished by a loss may go on
  tear_down();
}

Status Pipeline::build() {
  for (std::unique_ptr<Stream>* const stream : {&copy_in_, &compute_, &copy_out_}) {
    Result<std::unique_ptr<Stream>> made = device_.create_stream();
    if (!made.is_ok()) return made.status();
    *stream = std::move(made).value();
  }
  for (const auto& slot : slots_) {
    if (Status status = build_slot(*slot); !status.is_ok()) return status;
  }
  return Status::ok();
}

Status Pipeline::build_slot(Slot& slot) {
  for (std::unique_ptr<Event>* const event : {&slot.copied_in_, &slot.computed_, &slot.done_}) {
    Result<std::unique_ptr<Event>> made = device_.create_event();
    if (!made.is_ok()) return made.status();
    *event = std::move(made).value();
  }
  Status status = build_places(slot, spec_.input_row_bytes, slot.inputs_);
  if (status.is_ok()) status = build_places(slot, spec_.output_row_bytes, slot.outputs_);
  return status;
}

// All tensors of one direction lie in one block on each side.
Status Pipeline::build_places(Slot& slot, std::span<const std::size_t> row_bytes,
                              std::vector<Place>& places) {
  std::size_t total = 0;
  for (const std::size_t bytes : row_bytes) total += aligned(bytes * spec_.max_rows);
  Result<std::unique_ptr<Block>> host = device_.allocate_pinned(std::max(total, kAlignment));
  if (!host.is_ok()) return host.status();
  Result<std::unique_ptr<Block>> there = device_.allocate(std::max(total, kAlignment));
  if (!there.is_ok()) return there.status();
  auto* host_at = static_cast<std::byte*>(host.value()->address());
  auto* device_at = static_cast<std::byte*>(there.value()->address());
  for (const std::size_t bytes : row_bytes) {
    places.push_back({.host = host_at, .device = device_at, .row_bytes = bytes});
    host_at += aligned(bytes * spec_.max_rows);
    device_at += aligned(bytes * spec_.max_rows);
  }
  slot.blocks_.push_back(std::move(host).value());
  slot.blocks_.push_back(std::move(there).value());
  return Status::ok();
}

void Pipeline::tear_down() noexcept {
  for (const auto& slot : slots_) {
    slot->inputs_.clear();
    slot->outputs_.clear();
    slot->blocks_.clear();
    slot->copied_in_.reset();
    slot->computed_.reset();
    slot->done_.reset();
  }
  copy_out_.reset();
  compute_.reset();
  copy_in_.reset();
}

Slot* Pipeline::acquire() noexcept {
  if (free_.empty()) return nullptr;
  Slot* const slot = free_.back();
  free_.pop_back();
  return slot;
}

void Pipeline::launch(Slot& slot, std::size_t rows) noexcept {
  assert(rows >= 1 && rows <= spec_.max_rows);
  slot.rows_ = rows;
  slot.is_on_device_ = false;
  slot.status_ = is_lost() ? lost_ : put(slot);
  if (!slot.status_.is_ok() && !is_lost()) {
    lost_ = device_.health();  // a refusal, or the news that it is gone
    if (!is_lost() && slot.is_on_device_) abandon(slot);
  }
  in_flight_.push_back(&slot);
}

Status Pipeline::put(Slot& slot) noexcept {
  Status status = put_copies_in(slot);
  if (status.is_ok()) status = copy_in_->record(*slot.copied_in_);
  if (status.is_ok()) status = compute_->wait(*slot.copied_in_);
  if (status.is_ok()) status = computation_.enqueue(*compute_, slot);
  if (status.is_ok()) status = compute_->record(*slot.computed_);
  if (status.is_ok()) status = copy_out_->wait(*slot.computed_);
  if (status.is_ok()) status = put_copies_out(slot);
  if (status.is_ok()) status = copy_out_->record(*slot.done_);
  return status;
}

Status Pipeline::put_copies_in(Slot& slot) noexcept {
  for (const Place& place : slot.inputs_) {
    Status status =
        copy_in_->copy_to_device(place.device, place.host, place.row_bytes * slot.rows_);
    if (!status.is_ok()) return status;
    slot.is_on_device_ = true;
  }
  return Status::ok();
}

Status Pipeline::put_copies_out(Slot& slot) noexcept {
  for (const Place& place : slot.outputs_) {
    Status status = copy_out_->copy_to_host(place.host, place.device, place.row_bytes * slot.rows_);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

// Part of a batch was put on the device before something was refused: its memory is in use until
// that part is done, on whichever of the streams it is. The device refuses what it has no means
// for, and a mark needs next to none: where even that is refused, the device counts as lost.
void Pipeline::abandon(Slot& slot) noexcept {
  Status status = copy_in_->record(*slot.copied_in_);
  if (status.is_ok()) status = compute_->wait(*slot.copied_in_);
  if (status.is_ok()) status = compute_->record(*slot.computed_);
  if (status.is_ok()) status = copy_out_->wait(*slot.computed_);
  if (status.is_ok()) status = copy_out_->record(*slot.done_);
  if (!status.is_ok()) lost_ = device_.health().is_ok() ? status : device_.health();
}

Slot* Pipeline::finished(Status& how) noexcept {
  if (in_flight_.empty()) return nullptr;
  Slot& slot = *in_flight_.front();
  if (slot.is_on_device_ && !is_lost()) {
    const Result<bool> is_done = slot.done_->is_done();
    if (!is_done.is_ok()) {
      lost_ = is_done.status();
    } else if (!is_done.value()) {
      return nullptr;
    }
  }
  in_flight_.pop_front();
  how = std::exchange(slot.status_, Status());
  if (how.is_ok() && is_lost()) how = lost_;
  return &slot;
}

void Pipeline::release(Slot& slot) noexcept {
  slot.is_on_device_ = false;
  free_.push_back(&slot);
}

Status Pipeline::recover() noexcept {
  assert(free_.size() == slots_.size());
  device_.drain();
  tear_down();
  Status status = device_.recover();
  if (status.is_ok()) status = build();
  if (status.is_ok()) status = computation_.rebuild();
  lost_ = status;
  return status;
}

}  // namespace slipstream::device
