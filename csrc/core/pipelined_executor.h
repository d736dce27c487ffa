// Running batches on one instance whose executions begin and end apart (PipelinedInstance): begins
// one while others are in progress, and answers each when it has ended. The counterpart of
// executor.h; free of queues and threads like that.
//
// What an execution takes is counted from where the one before it ended, if that is later than its
// own begin: so that executions which overlap do not count time twice, and what is learned is how
// often the instance ends one.
//
// Threads: one at a time. Ownership: context and instance outlive it; nothing is in progress when
// it is destroyed. Failure: every batch that begins ends, with answers or with the reason.
#pragma once

#include <cstddef>
#include <vector>

#include "core/answers.h"
#include "core/backend.h"
#include "core/batch/batch.h"
#include "core/clock.h"

namespace slipstream {

// Whom to tell that an execution has ended (Launch::wake).
struct Wake {
  void (*function)(void* context) noexcept = nullptr;
  void* context = nullptr;
};

class PipelinedExecutor {
 public:
  PipelinedExecutor(ExecutionContext& context, PipelinedInstance& instance,
                    std::int64_t max_batch_rows);

  // Whether another execution may begin.
  [[nodiscard]] bool has_room() const noexcept { return in_progress_ < flights_.size(); }
  [[nodiscard]] bool is_idle() const noexcept { return in_progress_ == 0 && again_.empty(); }
  [[nodiscard]] std::size_t in_progress() const noexcept { return in_progress_; }

  // A batch to fill, for begin(). With room only.
  [[nodiscard]] Batch& next_batch() noexcept { return flight(in_progress_).batch; }
  // Begins the execution of next_batch(); of one that holds nothing but late requests, answers
  // those. `wake` is for executions that are learned to take longer than `wake_above_ns`, and for
  // those of which nothing was learned.
  void begin(Wake wake, Nanoseconds wake_above_ns) noexcept;
  // The same of a part of a failed batch, which goes before any other. False: there is none.
  [[nodiscard]] bool begin_again(Wake wake) noexcept;

  // Answers the batch that began first, if its execution has ended. One at a time, so that another
  // can begin before the next is answered. False: it has not.
  bool end_first() noexcept;

  // Whether a batch that is not full should begin while others are in progress. Waiting for those
  // leaves the device idle for what an execution takes beside its computation; beginning at once
  // costs one execution more, since whom those answer cannot join it (decisions/009).
  [[nodiscard]] bool gains_by_overlap() const noexcept {
    return beside_ns_ > computing_.mean_ns(1);
  }

  // When all that is in progress should have ended, as learned; `now` where nothing is.
  [[nodiscard]] Nanoseconds busy_until_ns(Nanoseconds now) const noexcept;
  // The same of what began first; may be past. With something in progress only.
  [[nodiscard]] Nanoseconds first_until_ns() const noexcept;
  // Whether its end will be told by its Wake.
  [[nodiscard]] bool first_wakes() const noexcept { return flight(0).wakes; }

 private:
  struct Flight {
    Batch batch;
    std::vector<Piece> pieces;
    Nanoseconds begin_ns = 0;
    Nanoseconds expected_ns = 0;  // that it takes, as learned; 0: not known
    bool wakes = false;
    bool is_alone = false;  // nothing else was in progress when it began
  };

  [[nodiscard]] Flight& flight(std::size_t number) noexcept {
    return flights_[(first_ + number) % flights_.size()];
  }
  [[nodiscard]] const Flight& flight(std::size_t number) const noexcept {
    return flights_[(first_ + number) % flights_.size()];
  }
  void launch(Flight& flight, Wake wake) noexcept;
  void end(Flight& flight, Outcome&& outcome) noexcept;
  void learn(Nanoseconds took_ns, std::int64_t rows) noexcept;

  ExecutionContext& context_;
  PipelinedInstance& instance_;
  std::vector<Flight> flights_;  // a ring, as long as the instance is deep
  std::size_t first_ = 0;
  std::size_t in_progress_ = 0;
  std::vector<BatchPart> again_;  // of failed batches, to be executed alone; last goes first
  Nanoseconds last_end_ns_ = 0;
  Nanoseconds beside_ns_ = 0;  // what executions take beside their computation, in the mean
  LatencyCurve computing_;     // and what the device computes, of all shapes
};

}  // namespace slipstream
