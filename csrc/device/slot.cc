#include "device/slot.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace slipstream::device {
namespace {

constexpr std::size_t kSmallestBytes = 256;

std::size_t bytes_of(DType dtype, const Shape& shape) noexcept {
  return static_cast<std::size_t>(shape.elements()) * dtype_size(dtype);
}

}  // namespace

Result<void*> Buffer::at_least(Device& device, std::size_t bytes) noexcept {
  if (block_ != nullptr && block_->bytes() >= bytes) return block_->address();
  // In powers of two, so that batches which grow row by row do not each stop the device.
  const std::size_t wanted = std::bit_ceil(std::max(bytes, kSmallestBytes));
  block_.reset();  // first, since there may not be room for both
  Result<std::unique_ptr<Block>> made =
      kind_ == Kind::kDevice ? device.allocate(wanted) : device.allocate_pinned(wanted);
  if (!made.is_ok()) return made.status();
  block_ = std::move(made).value();
  return block_->address();
}

Slot::Slot(Device& device, const ModelSpec& spec, std::size_t number)
    : device_(device),
      number_(number),
      inputs_(spec.inputs.size()),
      outputs_(spec.outputs.size()),
      input_buffers_(spec.inputs.size()),
      output_buffers_(spec.outputs.size()) {
  for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i].dtype = spec.inputs[i].dtype;
  for (std::size_t i = 0; i < outputs_.size(); ++i) outputs_[i].dtype = spec.outputs[i].dtype;
}

Result<void*> Slot::grown(Buffer& buffer, void* before, std::size_t bytes) noexcept {
  Result<void*> address = buffer.at_least(device_, bytes);
  if (address.is_ok() && address.value() != before) ++moves_;
  return address;
}

Result<void*> Slot::place_input(std::size_t input, Shape shape) {
  Input& placed = inputs_[input];
  const std::size_t bytes = bytes_of(placed.dtype, shape);
  Buffers& buffers = input_buffers_[input];
  Result<void*> there = grown(buffers.device, placed.address, bytes);
  placed.address = there.is_ok() ? there.value() : nullptr;
  if (!there.is_ok()) return there;
  placed.shape = std::move(shape);
  return buffers.host.at_least(device_, bytes);
}

Result<void*> Slot::place_output(std::size_t output, Shape shape) {
  Output& placed = outputs_[output];
  Result<void*> there =
      grown(output_buffers_[output].device, placed.address, bytes_of(placed.dtype, shape));
  placed.address = there.is_ok() ? there.value() : nullptr;
  placed.is_set = there.is_ok();
  if (there.is_ok()) placed.shape = std::move(shape);
  return there;
}

void Slot::set_output(std::size_t output, Shape shape, void* address, std::shared_ptr<void> owner) {
  Output& set = outputs_[output];
  set.shape = std::move(shape);
  set.address = address;
  set.is_set = true;
  set.owner = std::move(owner);
}

void Slot::clear() noexcept {
  for (Output& output : outputs_) {
    output.is_set = false;
    output.owner.reset();
    output.host = nullptr;
    output.host_owner.reset();
  }
  is_on_device_ = false;
}

void Slot::tear_down() noexcept {
  clear();
  for (auto* const buffers : {&input_buffers_, &output_buffers_}) {
    for (Buffers& each : *buffers) {
      each.host.clear();
      each.device.clear();
    }
  }
  for (Input& input : inputs_) input.address = nullptr;
  for (Output& output : outputs_) output.address = nullptr;
  copied_in_.reset();
  computed_.reset();
  done_.reset();
  timed_begin_.reset();
  timed_end_.reset();
  ++moves_;
}

}  // namespace slipstream::device
