// GraphedComputation: a computation that is recorded the first time a slot computes a shape, and
// from then on launched as a graph: one call instead of one for every kernel.
//
// Graphs are for fixed addresses and shapes, so there is one for each slot and each number of rows;
// to keep them few, batches are padded to four numbers of rows to a doubling, by a quarter at most.
// Batches of more than `max_rows` are computed as they are: of those, launching is little. A graph
// is recorded behind the execution that it records: everything which happens only the first time
// has happened, and that one is answered no later. What cannot be recorded is computed as it is,
// for good after a few attempts. Graphs of a slot whose memory moved are dropped; so is the slot's
// that was not used for longest where it has too many.
//
// When to use: where all that the inner computation does is put on its stream, into memory of the
// slot, in the same way for every batch of a shape (CUDA Graphs, CUDA C++ Programming Guide,
// "Stream Capture"). When not: where it looks at data, allocates, or decides on the host.
//
// Threads, failure: as a Computation. A graph that the device refuses to launch fails its batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/device.h"
#include "device/pipeline.h"

namespace slipstream::device {

struct GraphOptions {
  std::int64_t max_rows = 64;
  std::size_t max_graphs = 32;  // of one slot
};

// The most that a model's options may ask for.
inline constexpr std::int64_t kMostGraphRows = 4096;

// The computation, with batches of at most that many rows recorded, and of no more than the model
// takes: those could not be padded to. The computation itself where that is 0.
[[nodiscard]] std::unique_ptr<Computation> recorded(std::unique_ptr<Computation> computation,
                                                    std::int64_t rows, const ModelSpec& spec);

class GraphedComputation final : public Computation {
 public:
  GraphedComputation(std::unique_ptr<Computation> inner, GraphOptions options)
      : inner_(std::move(inner)), options_(options) {}

  [[nodiscard]] Stream& stream() noexcept override { return inner_->stream(); }
  [[nodiscard]] Status enqueue(Slot& slot) noexcept override;
  [[nodiscard]] bool places_outputs() const noexcept override { return inner_->places_outputs(); }
  void after_launch(Slot& slot) noexcept override;
  [[nodiscard]] std::int64_t padded_rows(std::int64_t given) const noexcept override;
  [[nodiscard]] bool reads_on_host(std::size_t input) const noexcept override {
    return inner_->reads_on_host(input);
  }
  void tear_down() noexcept override;
  [[nodiscard]] Status build() noexcept override { return inner_->build(); }

  [[nodiscard]] std::size_t graphs() const noexcept { return recorded_.size(); }
  // Why nothing is recorded any more; ok while it is.
  [[nodiscard]] const Status& gave_up() const noexcept { return gave_up_; }

 private:
  struct Recorded {
    std::size_t slot = 0;
    std::uint64_t moves = 0;
    std::uint64_t outputs_wanted = 0;
    std::vector<Shape> inputs;
    std::vector<Shape> outputs;  // of those that are wanted
    std::unique_ptr<Graph> graph;
    std::uint64_t used = 0;  // when, by uses_
  };

  [[nodiscard]] Recorded* find(const Slot& slot) noexcept;
  [[nodiscard]] Status launch(Recorded& recorded, Slot& slot);
  void record(Slot& slot);
  void make_room(std::size_t slot);

  const std::unique_ptr<Computation> inner_;
  const GraphOptions options_;
  std::vector<Recorded> recorded_;
  std::uint64_t uses_ = 0;
  int failures_ = 0;  // in a row
  Status gave_up_;
  bool is_new_ = false;  // what was put on the stream last is to be recorded
};

}  // namespace slipstream::device
