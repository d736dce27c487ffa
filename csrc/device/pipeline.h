// The pipeline of one instance on a device: while one batch computes, the next is copied in and the
// one before is copied out.
//
//   host            gathers n+1         takes n-2
//   copy-in stream    [ in n+1 ]
//   compute stream        [ compute n ]
//   copy-out stream           [ out n-1 ]
//
// Rows are gathered into page-locked memory of the batch's slot, and copied piece by piece, so that
// the device begins to copy before the host has gathered all; what is page-locked already, and not
// small, is copied where it lies. Answers are copied to page-locked memory of a pool, and handed
// out as they are. A batch that is launched alone goes all the way on one stream: there is nothing
// to overlap with, and streams that wait for each other cost.
//
// Nothing waits for the device between launch and finished, and once slots and pool have grown to
// the batches that come, nothing is allocated on it either. Three slots keep the slowest of the
// three stages busy all the time; with one there is no overlap.
//
// Threads: one at a time, which has entered the device. Ownership: the computation outlives the
// pipeline; answers may outlive both.
// Failure: a batch that cannot be put on the device comes back like any other, with the reason.
// Each launch is finished exactly once, in the order of launches. A lost device finishes every
// batch in flight with kUnavailable; recover() builds everything anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "core/status.h"
#include "device/device.h"
#include "device/gatherer.h"
#include "device/pinned_pool.h"
#include "device/slot.h"

namespace slipstream::device {

// The most slots that a model's options may ask for: each takes memory for a batch.
inline constexpr std::int64_t kMostSlots = 8;

struct PipelineOptions {
  std::size_t slots = 3;
  // Page-locked memory for answers, in all. Where it is all out, answers are copied once more.
  std::size_t answers_bytes = std::size_t{256} << 20U;
};

// What is computed between the copies.
class Computation {
 public:
  Computation() = default;
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;
  virtual ~Computation() = default;

  // Where it is computed: its own stream, from build() to tear_down().
  [[nodiscard]] virtual Stream& stream() noexcept = 0;
  // Puts the computation of a slot's rows on its stream, from the slot's inputs to outputs that it
  // sets in the slot, all that are wanted, and returns at once.
  [[nodiscard]] virtual Status enqueue(Slot& slot) noexcept = 0;
  // Whether it leaves its outputs in memory of the slot's own.
  [[nodiscard]] virtual bool places_outputs() const noexcept { return true; }
  // All of the slot's batch is on the streams, answers too: what need not be done before that is
  // done now.
  virtual void after_launch(Slot& /*slot*/) noexcept {}
  // How many rows it computes where so many are given: more, where only some numbers are cheap. The
  // rows that are too many are the last one again, and what comes of them is left out.
  [[nodiscard]] virtual std::int64_t padded_rows(std::int64_t rows) const noexcept { return rows; }
  // Whether it reads that input on the host, in the slot's page-locked memory: all of it is there
  // then, from enqueue() until the slot is done.
  [[nodiscard]] virtual bool reads_on_host(std::size_t /*input*/) const noexcept { return false; }
  // The device is lost: what lived on it, the stream too, is to be given up. A device comes back
  // only when nobody has anything on it any more.
  virtual void tear_down() noexcept = 0;
  // Makes it all anew, after tear_down(). On failure nothing is left of it, and it may be tried
  // again, after another tear_down().
  [[nodiscard]] virtual Status build() noexcept = 0;
};

class Pipeline {
 public:
  // kResourceExhausted when the device has not memory for it.
  [[nodiscard]] static Result<std::unique_ptr<Pipeline>> create(std::shared_ptr<Device> device,
                                                                Computation& computation,
                                                                const ModelSpec& spec,
                                                                PipelineOptions options);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline();  // waits for what is in flight

  [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }

  // Makes room for batches of that many rows, where their size is known beforehand and not large.
  // With nothing in flight.
  void expect_rows(std::int64_t rows) noexcept;

  // Sends a batch, while fewer are in flight than there are slots. Its inputs stay as they are
  // until it is finished.
  void launch(const Launch& launch) noexcept;
  // True: the batch that was launched first of those in flight has ended. Where `how` is ok
  // `outputs` are the answer, one for each of the spec's; unwanted ones are empty.
  [[nodiscard]] bool finished(Status& how, std::vector<Tensor>& outputs) noexcept;

  // How long the device computed what finished() gave last; 0 where it was not timed, as some of
  // those are that were launched alone.
  [[nodiscard]] Nanoseconds computed_ns() const noexcept { return computed_ns_; }

  // Whether the device is lost: launches end at once with the cause, until recover().
  [[nodiscard]] bool is_lost() const noexcept { return !lost_.is_ok(); }
  // Brings the device back, where it is lost, and makes all slots anew. With nothing in flight. On
  // failure it may be tried again.
  [[nodiscard]] Status recover() noexcept;

  [[nodiscard]] const PinnedPool& answers() const noexcept { return *answers_; }

 private:
  Pipeline(std::shared_ptr<Device> device, Computation& computation, const ModelSpec& spec,
           PipelineOptions options);

  [[nodiscard]] Status build();
  void tear_down() noexcept;
  [[nodiscard]] Status put(Slot& slot, const Launch& launch);
  [[nodiscard]] Status put_input(Slot& slot, std::size_t input, const Launch& launch);
  [[nodiscard]] Status gather(Gatherer& gatherer, const Slot& slot, std::size_t input,
                              const Launch& launch) const;
  [[nodiscard]] Status put_output(Slot& slot, std::size_t output);
  void drain() noexcept;
  void make_room(std::int64_t rows);
  [[nodiscard]] static Status pass_on(Stream& from, Event& event, Stream& to) noexcept;
  [[nodiscard]] Status tell_end(Slot& slot, const Launch& launch) noexcept;
  // A batch that is alone goes all the way on the computation's stream.
  [[nodiscard]] Stream& in_of(const Slot& slot) noexcept;
  [[nodiscard]] Stream& out_of(const Slot& slot) noexcept;
  void abandon(Slot& slot) noexcept;
  [[nodiscard]] Tensor take_output(Slot& slot, std::size_t output) const;

  const std::shared_ptr<Device> device_;
  Computation& computation_;
  const ModelSpec spec_;
  const PipelineOptions options_;
  std::shared_ptr<PinnedPool> answers_;
  std::unique_ptr<Stream> copy_in_;
  std::unique_ptr<Stream> copy_out_;
  std::unique_ptr<Event> drained_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  std::vector<Slot*> in_flight_;       // the first launched first; no more than slots
  std::vector<Gatherer::Part> parts_;  // of the batch that is being launched
  std::uint64_t launches_ = 0;         // of batches that were alone
  Nanoseconds computed_ns_ = 0;
  Status lost_;
};

}  // namespace slipstream::device
