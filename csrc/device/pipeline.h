// The pipeline of one instance on a device: while one batch computes, the next is copied in and the
// one before is copied out.
//
//   host            fills slot n+1      takes slot n-2
//   copy-in stream    [ in n+1 ]
//   compute stream        [ compute n ]
//   copy-out stream           [ out n-1 ]
//
// A slot has everything that a batch needs: pinned memory to fill and to read, memory on the
// device, and the events between the three streams. All of it is made beforehand: nothing is
// allocated, and nothing blocks, between acquire and release. Three slots keep the slowest of the
// three stages busy all the time; with one there is no overlap.
//
// When to use: for computations whose inputs and outputs have rows of fixed sizes.
//
// Threads: one at a time. Ownership: the device and the computation outlive the pipeline.
// Failure: a batch that cannot be put on the device comes back like any other, with the reason.
// Each launch is finished exactly once, in the order of launches. A lost device finishes every
// batch in flight with kUnavailable; recover() builds everything anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "device/device.h"

namespace slipstream::device {

struct PipelineSpec {
  std::vector<std::size_t> input_row_bytes;  // one for each input
  std::vector<std::size_t> output_row_bytes;
  std::size_t max_rows = 1;
  std::size_t slots = 3;
};

// One tensor of a slot: its place in pinned memory, and on the device. Both hold max_rows.
struct Place {
  void* host = nullptr;
  void* device = nullptr;
  std::size_t row_bytes = 0;
};

class Slot {
 public:
  // Valid until recover().
  [[nodiscard]] std::span<const Place> inputs() const noexcept { return inputs_; }
  [[nodiscard]] std::span<const Place> outputs() const noexcept { return outputs_; }
  // Of the batch in it.
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  // How many slots the pipeline had before this one: names it where things are kept by slot.
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

 private:
  friend class Pipeline;
  std::size_t number_ = 0;
  std::size_t rows_ = 0;
  std::vector<Place> inputs_;
  std::vector<Place> outputs_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<Event> copied_in_;
  std::unique_ptr<Event> computed_;
  std::unique_ptr<Event> done_;
  bool is_on_device_ = false;  // something of it: it must not be reused before done_
  Status status_;
};

// What is computed between the copies.
class Computation {
 public:
  Computation() = default;
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;
  virtual ~Computation() = default;

  // Puts the computation of a slot's rows on the stream, from its device inputs to its device
  // outputs, and returns at once.
  [[nodiscard]] virtual Status enqueue(Stream& stream, const Slot& slot) noexcept = 0;
  // The device was lost and is back: what lived on it is to be made anew.
  [[nodiscard]] virtual Status rebuild() noexcept = 0;
};

class Pipeline {
 public:
  // kResourceExhausted when the device has not memory for all slots.
  [[nodiscard]] static Result<std::unique_ptr<Pipeline>> create(Device& device,
                                                                Computation& computation,
                                                                PipelineSpec spec);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline();  // waits for what is in flight

  // A slot to fill the inputs of; null while all are in use.
  [[nodiscard]] Slot* acquire() noexcept;
  // Sends a filled slot. It comes back by finished(), whatever happens. 1 <= rows <= max_rows.
  void launch(Slot& slot, std::size_t rows) noexcept;
  // The slot that was launched first of those in flight, if it has ended; null if it has not. Where
  // `how` is ok its outputs are there. To be released.
  [[nodiscard]] Slot* finished(Status& how) noexcept;
  // Gives back a slot from acquire or finished.
  void release(Slot& slot) noexcept;

  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }
  // Whether the device is lost: launches end at once with the cause, until recover().
  [[nodiscard]] bool is_lost() const noexcept { return !lost_.is_ok(); }
  // Brings the device back, where it is lost, and makes all slots anew. Every slot must have been
  // released. On failure it may be tried again.
  [[nodiscard]] Status recover() noexcept;

 private:
  Pipeline(Device& device, Computation& computation, PipelineSpec spec);

  [[nodiscard]] Status build();
  [[nodiscard]] Status build_slot(Slot& slot);
  [[nodiscard]] Status build_places(Slot& slot, std::span<const std::size_t> row_bytes,
                                    std::vector<Place>& places);
  void tear_down() noexcept;
  [[nodiscard]] Status put(Slot& slot) noexcept;
  [[nodiscard]] Status put_copies_in(Slot& slot) noexcept;
  [[nodiscard]] Status put_copies_out(Slot& slot) noexcept;
  void abandon(Slot& slot) noexcept;

  Device& device_;
  Computation& computation_;
  const PipelineSpec spec_;
  std::unique_ptr<Stream> copy_in_;
  std::unique_ptr<Stream> compute_;
  std::unique_ptr<Stream> copy_out_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  std::deque<Slot*> in_flight_;
  Status lost_;
};

}  // namespace slipstream::device
