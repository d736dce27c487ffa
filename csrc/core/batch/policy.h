// The batch policy: which request next, who may join it, who is refused. Pure functions of what
// they are given and `now`, so that tests and simulations run them on a clock of their own.
#pragma once

#include <array>
#include <cstdint>

#include "core/clock.h"
#include "core/priority.h"

namespace slipstream {

// When each lane's oldest request was accepted; kNoDeadline where the lane is empty.
using HeadTimes = std::array<Nanoseconds, kLaneCount>;

struct PolicyConfig {
  // A request gains one priority level for every such span it has waited, so that nothing starves:
  // the lowest lane reaches the highest after 11 of them.
  Nanoseconds ageing_step_ns = 100'000'000;
};

// A request's lane raised by its waiting time. Larger goes first.
[[nodiscard]] Nanoseconds effective_priority(std::size_t lane, Nanoseconds accepted_ns,
                                             Nanoseconds now, const PolicyConfig& config) noexcept;

inline constexpr std::size_t kNoLane = kLaneCount;

// The lane whose head goes next (kNoLane when all are empty). Ties go to the higher lane.
[[nodiscard]] std::size_t choose_lane(const HeadTimes& heads, Nanoseconds now,
                                      const PolicyConfig& config) noexcept;

// What decides whether a request may join a batch that has begun.
struct JoinQuestion {
  std::int64_t batch_rows = 0;       // taken so far, at least 1
  std::int64_t batch_row_limit = 0;  // smallest limit among the model and the requests taken
  std::int64_t candidate_rows = 0;   // rows still to run
  std::int64_t candidate_row_limit = 0;
  bool same_shape = false;
};

// Rows of the candidate that may join now; 0 when none. A request is taken in part only if it would
// not fit into an execution of its own either, so small requests never wait for a second execution.
[[nodiscard]] std::int64_t rows_that_join(const JoinQuestion& question) noexcept;

// What decides whether a request is worth accepting.
struct AdmissionQuestion {
  Nanoseconds now = 0;
  Nanoseconds deadline_ns = kNoDeadline;
  std::int64_t queued_requests = 0;     // ahead of it
  std::int64_t requests_per_batch = 1;  // that recent executions carried, at least 1
  std::int64_t instances = 1;
  std::int64_t executions = 1;  // it needs itself: more than one when it will be split
  Nanoseconds execute_ns = 0;   // learned time of one execution; 0 while unknown
};

// How long the request would wait and run if everything ahead of it ran as learned.
[[nodiscard]] Nanoseconds expected_latency_ns(const AdmissionQuestion& question) noexcept;

// False: it would be answered late, and accepting it would only make others late too
// (Gujarati et al., "Serving DNNs like Clockwork", OSDI 2020). Unknown times are admitted, and so
// is everything while nothing is queued.
[[nodiscard]] bool can_meet_deadline(const AdmissionQuestion& question) noexcept;

}  // namespace slipstream
