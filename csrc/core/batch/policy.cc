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

std::int64_t held_back_rows(const LatencyCurve& curve, std::int64_t rows, std::int64_t row_limit,
                            std::int64_t instances, const PolicyConfig& config) noexcept {
  const double budget_ns =
      rows == 0 ? static_cast<double>(curve.mean_ns(1) * instances) * config.occupancy_factor
                : static_cast<double>(curve.mean_ns(rows)) * config.company_factor;
  return std::max<std::int64_t>(curve.rows_of_mean(static_cast<Nanoseconds>(budget_ns), row_limit),
                                1);
}

bool costs_too_much(const CostQuestion& question, const LatencyCurve& curve) noexcept {
  if (question.rows_waiting < question.row_limit) return false;
  const std::int64_t fits = curve.rows_of_tail(question.slack_ns, question.row_limit);
  if (fits == question.row_limit) return false;
  // What full batches would run in the time of the small one.
  const std::int64_t instead = question.row_limit * curve.mean_ns(fits) /
                               std::max<Nanoseconds>(curve.mean_ns(question.row_limit), 1);
  return instead - fits > question.rows;
}

std::int64_t deadline_rows(const LatencyCurve& curve, Nanoseconds deadline_ns, Nanoseconds now,
                           std::int64_t rows_taken, std::int64_t row_limit) noexcept {
  if (deadline_ns == kNoDeadline) return row_limit;
  return std::max(curve.rows_of_tail(deadline_ns - now, row_limit), rows_taken);
}

Nanoseconds expected_wait_ns(const AdmissionQuestion& question) noexcept {
  const Nanoseconds running = std::max<Nanoseconds>(question.instance_free_ns - question.now, 0);
  const std::int64_t batches = question.rows_ahead / question.row_limit;
  if (batches == 0) return running;
  return running + batches * question.curve->mean_ns(question.row_limit) / question.instances;
}

Nanoseconds expected_latency_ns(const AdmissionQuestion& question) noexcept {
  const double wait = static_cast<double>(expected_wait_ns(question)) * question.wait_ratio;
  // Behind a full batch, the one it will be in is full too: more come after it.
  const std::int64_t company = std::min(question.rows_ahead + question.rows, question.row_limit);
  const std::int64_t others = (question.rows - 1) / question.row_limit;
  const Nanoseconds running = others == 0
                                  ? question.curve->tail_ns(company)
                                  : question.curve->tail_ns(question.row_limit) +
                                        others * question.curve->mean_ns(question.row_limit);
  return static_cast<Nanoseconds>(wait) + running;
}

bool can_meet_deadline(const AdmissionQuestion& question) noexcept {
  // With nothing ahead of it a request delays nobody, and running it is the only way to learn that
  // the model has become quicker than a first, cold execution said.
  if (question.deadline_ns == kNoDeadline || question.rows_ahead == 0) return true;
  return expected_latency_ns(question) <= question.deadline_ns - question.now;
}

}  // namespace slipstream
