// Slot: one batch on its way through a device, with all that it needs there.
//
// Memory of a slot grows with the batches that it gets and is kept: after the largest has come by,
// nothing is allocated any more. (A device gives memory back only when it is idle, so growing
// stops it: warm-ups are for that.)
//
// Threads: one at a time. Ownership: by its pipeline; what is handed out is valid until the slot is
// released. Failure: kResourceExhausted where the device has no memory for a batch; the slot is as
// good as before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/backend.h"
#include "device/device.h"

namespace slipstream::device {

// Memory of one kind that grows.
class Buffer {
 public:
  enum class Kind : bool { kDevice, kPinned };

  explicit Buffer(Kind kind) noexcept : kind_(kind) {}

  // At least that many bytes, aligned to 256. What was in it is lost where it has to grow.
  [[nodiscard]] Result<void*> at_least(Device& device, std::size_t bytes) noexcept;
  void clear() noexcept { block_.reset(); }

 private:
  Kind kind_;
  std::unique_ptr<Block> block_;
};

class Slot {
 public:
  struct Input {
    DType dtype = DType::kFloat32;
    Shape shape;
    void* address = nullptr;  // on the device
  };

  Slot(Device& device, const ModelSpec& spec, std::size_t number);

  // How many slots the pipeline had before this one: names it where things are kept by slot.
  [[nodiscard]] std::size_t number() const noexcept { return number_; }
  // Raised whenever an address changed that was handed out before: what was recorded with those
  // (a graph) is void.
  [[nodiscard]] std::uint64_t moves() const noexcept { return moves_; }
  // Of the batch in it, and with those that pad it (Computation::padded_rows): the inputs' rows.
  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::int64_t padded_rows() const noexcept { return padded_rows_; }
  [[nodiscard]] std::span<const Input> inputs() const noexcept { return inputs_; }
  [[nodiscard]] bool wants(std::size_t output) const noexcept {
    return output >= 64 || ((outputs_wanted_ >> output) & 1U) != 0;
  }

  // Where the computation may leave output `output`: memory of the slot's own, of that shape.
  [[nodiscard]] Result<void*> place_output(std::size_t output, Shape shape);
  // Or where it leaves it: `owner` keeps that until it has been copied out.
  void set_output(std::size_t output, Shape shape, void* address, std::shared_ptr<void> owner);
  // Whether the output lies in the slot's own memory, and its shape, once it was set.
  [[nodiscard]] bool is_placed(std::size_t output) const noexcept {
    return outputs_[output].is_set && outputs_[output].owner == nullptr;
  }
  [[nodiscard]] const Shape& output_shape(std::size_t output) const noexcept {
    return outputs_[output].shape;
  }
  [[nodiscard]] std::size_t outputs() const noexcept { return outputs_.size(); }
  [[nodiscard]] std::uint64_t outputs_wanted() const noexcept { return outputs_wanted_; }

 private:
  friend class Pipeline;

  struct Output {
    DType dtype = DType::kFloat32;
    Shape shape;
    void* address = nullptr;  // on the device
    bool is_set = false;      // by the computation, for the batch in it
    std::shared_ptr<void> owner;
    Shape host_shape;                  // of what is copied to the host: without padding
    void* host = nullptr;              // where it is copied to, page-locked
    std::shared_ptr<void> host_owner;  // null: it is the slot's, and is copied once more
  };
  struct Buffers {
    Buffer host{Buffer::Kind::kPinned};
    Buffer device{Buffer::Kind::kDevice};
  };

  // Memory for an input of that shape on both sides; its place on the host.
  [[nodiscard]] Result<void*> place_input(std::size_t input, Shape shape);
  [[nodiscard]] Result<void*> grown(Buffer& buffer, void* before, std::size_t bytes) noexcept;
  void clear() noexcept;  // of what it holds of a batch
  void tear_down() noexcept;

  Device& device_;
  const std::size_t number_;
  std::uint64_t moves_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t padded_rows_ = 0;
  std::uint64_t outputs_wanted_ = 0;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  std::vector<Buffers> input_buffers_;
  std::vector<Buffers> output_buffers_;
  std::unique_ptr<Event> copied_in_;
  std::unique_ptr<Event> computed_;
  std::unique_ptr<Event> done_;
  std::unique_ptr<Event> timed_begin_;  // of the computation, these tell the time
  std::unique_ptr<Event> timed_end_;
  bool is_alone_ = false;      // nothing else was in flight when it was launched
  bool is_timed_ = false;      // its computation is
  bool is_on_device_ = false;  // something of it: it must not be reused before done_
  Status status_;
  std::pmr::memory_resource* memory_ = nullptr;
};

}  // namespace slipstream::device
