// The batch policy: which request next, who may join it, who is refused. Pure functions of what
// they are given and `now`, so that tests and simulations run them on a clock of their own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/batch/latency_model.h"
#include "core/clock.h"
#include "core/priority.h"

namespace slipstream {

// When each lane's oldest request was accepted; kNoDeadline where the lane is empty.
using HeadTimes = std::array<Nanoseconds, kLaneCount>;

struct PolicyConfig {
  // A request gains one priority level for every such span it has waited, so that nothing starves:
  // the lowest lane reaches the highest after 11 of them.
  Nanoseconds ageing_step_ns = 500'000'000;
  // Among requests of one priority the earliest deadline goes first, and one without counts as due
  // after so long: it is overtaken no longer than that.
  Nanoseconds patience_ns = 1'000'000'000;
  // A priority level counts as arriving for so long after its last request was taken.
  Nanoseconds arriving_ns = 1'000'000'000;
  // While a level arrives, rows at least this far below it are held back: an execution of theirs
  // takes no longer than occupancy_factor times that of one row (a little more with several
  // instances, of which one is free sooner), and they join one of its rows only while that takes no
  // longer than company_factor times what it would without them.
  std::size_t held_back_levels = 5;
  double occupancy_factor = 2.2;
  double company_factor = 1.5;
};

// A request's lane raised by its waiting time. Larger goes first.
[[nodiscard]] Nanoseconds effective_priority(std::size_t lane, Nanoseconds accepted_ns,
                                             Nanoseconds now, const PolicyConfig& config) noexcept;

inline constexpr std::size_t kNoLane = kLaneCount;

// The lane whose head goes next (kNoLane when all are empty). Ties go to the higher lane.
[[nodiscard]] std::size_t choose_lane(const HeadTimes& heads, Nanoseconds now,
                                      const PolicyConfig& config) noexcept;

// When a request is due: its deadline, or when our patience for it ends. Goes first within a lane.
[[nodiscard]] inline Nanoseconds due_ns(Nanoseconds deadline_ns, Nanoseconds accepted_ns,
                                        const PolicyConfig& config) noexcept {
  return std::min(deadline_ns, accepted_ns + config.patience_ns);
}

// What decides whether a request may join a batch that has begun.
struct JoinQuestion {
  std::int64_t batch_rows = 0;       // taken so far, at least 1
  std::int64_t batch_row_limit = 0;  // smallest limit among the model and the requests taken
  std::int64_t candidate_rows = 0;   // rows still to run
  std::int64_t candidate_row_limit = 0;
  bool same_shape = false;
  bool is_alone = false;  // the candidate's executions are for nobody else
};

// Rows of the candidate that may join now; 0 when none. A request is taken in part only if it would
// not fit into an execution of its own either, so small requests never wait for a second execution.
[[nodiscard]] std::int64_t rows_that_join(const JoinQuestion& question) noexcept;

// Whether an execution of its own, begun now, would answer the request in time as learned.
[[nodiscard]] inline bool can_start_now(Nanoseconds deadline_ns, Nanoseconds now,
                                        Nanoseconds execute_ns) noexcept {
  return deadline_ns == kNoDeadline || deadline_ns - now >= execute_ns;
}

// The most rows, at least 1, that rows which are held back may fill an execution to, when `rows`
// others are in it (0: it is theirs). So what arrives above them waits no longer than
// `occupancy_factor` says.
[[nodiscard]] std::int64_t held_back_rows(const LatencyCurve& curve, std::int64_t rows,
                                          std::int64_t row_limit, std::int64_t instances,
                                          const PolicyConfig& config) noexcept;

// Whether meeting this deadline would cost more rows than it saves. It is so where the batch would
// have to be small, and those who come next cannot wait for a second one either: each would make
// the batch of the next as small, and the model would end up running little at full load.
struct CostQuestion {
  Nanoseconds slack_ns = 0;                 // until the deadline
  Nanoseconds next_slack_ns = kNoDeadline;  // of the request that goes next
  std::int64_t rows = 1;                    // of the request
  std::int64_t rows_waiting = 0;            // at its priority and above, its own included
  std::int64_t row_limit = 1;
};
[[nodiscard]] bool costs_too_much(const CostQuestion& question, const LatencyCurve& curve) noexcept;

// The most rows of a batch whose earliest deadline is `deadline_ns`, so that it is met if the
// execution takes its likely time; never under `rows_taken`, which are in it already.
[[nodiscard]] std::int64_t deadline_rows(const LatencyCurve& curve, Nanoseconds deadline_ns,
                                         Nanoseconds now, std::int64_t rows_taken,
                                         std::int64_t row_limit) noexcept;

// How long requests of a level really waited, by what admission had expected: 2.0 says twice as
// long, because of work above them that came later, of smaller batches, of a slower machine.
class WaitRatio {
 public:
  // Pure: the ratio after one more request.
  void observe(Nanoseconds expected_ns, Nanoseconds waited_ns) noexcept {
    expected_ += (static_cast<double>(expected_ns) - expected_) * kWeight;
    waited_ += (static_cast<double>(waited_ns) - waited_) * kWeight;
  }
  // Time goes by: what was learned is worth less. (Under a ratio so large that nobody is admitted
  // to a queue, nobody would ever show that it is wrong.)
  // False: there was nothing to forget.
  bool forget() noexcept {
    if (waited_ == expected_) return false;
    waited_ += (expected_ - waited_) * kForgotten;
    return true;
  }
  [[nodiscard]] double value() const noexcept {
    return expected_ > 0 ? std::clamp(waited_ / expected_, kLeast, kMost) : 1.0;
  }

 private:
  static constexpr double kWeight = 1.0 / 128;
  static constexpr double kForgotten = 1.0 / 256;
  static constexpr double kLeast = 0.5;
  static constexpr double kMost = 16.0;
  double expected_ = 0;
  double waited_ = 0;
};

// What decides whether a request is worth accepting.
struct AdmissionQuestion {
  Nanoseconds now = 0;
  Nanoseconds deadline_ns = kNoDeadline;
  std::int64_t rows = 1;
  std::int64_t row_limit = 1;   // of one execution
  std::int64_t rows_ahead = 0;  // waiting at its priority and above
  std::int64_t instances = 1;
  Nanoseconds instance_free_ns = 0;     // when an execution is expected to end; past: one is idle
  double wait_ratio = 1.0;              // of its priority
  const LatencyCurve* curve = nullptr;  // of its shape
};

// How long the rows ahead of it take as learned, after the execution that runs now: what WaitRatio
// calls expected.
[[nodiscard]] Nanoseconds expected_wait_ns(const AdmissionQuestion& question) noexcept;

// How many of `rows` in its own lane a request does not overtake that is due in `due_in_ns`, where
// requests are due `mean_due_in_ns` after they come in the mean; all of them where that is 0, since
// the lane then keeps the order of arrival.
[[nodiscard]] std::int64_t rows_due_before(std::int64_t rows, Nanoseconds due_in_ns,
                                           Nanoseconds mean_due_in_ns) noexcept;

// How long the request would wait and run.
[[nodiscard]] Nanoseconds expected_latency_ns(const AdmissionQuestion& question) noexcept;

// False: it would be answered late, and accepting it would only make others late too
// (Gujarati et al., "Serving DNNs like Clockwork", OSDI 2020). Unknown times are admitted, and so
// is everything while nothing is queued. A twentieth of the time left is for the answer's way back
// to whoever counts it, which the core does not see.
inline constexpr Nanoseconds kWayBackShare = 20;
[[nodiscard]] bool can_meet_deadline(const AdmissionQuestion& question) noexcept;

}  // namespace slipstream
