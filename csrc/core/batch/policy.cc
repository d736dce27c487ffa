#include "core/batch/policy.h"

#include <algorithm>

namespace slipstream {

Nanoseconds effective_priority(std::size_t lane, Nanoseconds accepted_ns, Nanoseconds now,
                               const PolicyConfig& config) noexcept {
  const Nanoseconds waited = std::max<Nanoseconds>(now - accepted_ns, 0);
  return static_cast<Nanoseconds>(lane) * config.ageing_step_ns + waited;
}

std::size_t choose_lane(const HeadTimes& heads, Nanoseconds now,
                        const PolicyConfig& config) noexcept {
  std::size_t best = kNoLane;
  Nanoseconds best_priority = -1;
  for (std::size_t lane = kLaneCount; lane-- > 0;) {
    if (heads[lane] == kNoDeadline) continue;
    const Nanoseconds priority = effective_priority(lane, heads[lane], now, config);
    if (priority > best_priority) {
      best = lane;
      best_priority = priority;
    }
  }
  return best;
}

std::int64_t rows_that_join(const JoinQuestion& question) noexcept {
  if (!question.same_shape) return 0;
  const std::int64_t limit = std::min(question.batch_row_limit, question.candidate_row_limit);
  const std::int64_t room = limit - question.batch_rows;
  if (room <= 0) return 0;
  if (question.candidate_rows <= room) return question.candidate_rows;
  return question.candidate_rows > question.candidate_row_limit ? room : 0;
}

Nanoseconds expected_latency_ns(const AdmissionQuestion& question) noexcept {
  const std::int64_t batches_ahead =
      question.queued_requests / (question.requests_per_batch * question.instances);
  return (batches_ahead + question.executions) * question.execute_ns;
}

bool can_meet_deadline(const AdmissionQuestion& question) noexcept {
  if (question.deadline_ns == kNoDeadline || question.execute_ns == 0) return true;
  // With nothing ahead of it a request delays nobody, and running it is the only way to learn that
  // the model has become quicker than a first, cold execution said.
  if (question.queued_requests == 0) return true;
  return expected_latency_ns(question) <= question.deadline_ns - question.now;
}

}  // namespace slipstream
