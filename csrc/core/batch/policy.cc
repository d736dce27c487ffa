#include "core/batch/policy.h"

#include <algorithm>
#include <cmath>

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
  if (!question.same_shape || question.is_alone) return 0;
  const std::int64_t limit = std::min(question.batch_row_limit, question.candidate_row_limit);
  const std::int64_t room = limit - question.batch_rows;
  if (room <= 0) return 0;
  if (question.candidate_rows <= room) return question.candidate_rows;
  return question.candidate_rows > question.candidate_row_limit ? room : 0;
}

namespace {

// How long all of several instances are found busy at most, 99 times of 100, as a part of the
// length of their executions, which begin at any time: P(all busy for longer than x) = (1 - x)^n.
double longest_wait(std::int64_t instances) noexcept {
  return 1.0 - std::pow(0.01, 1.0 / static_cast<double>(instances));
}

}  // namespace

std::int64_t held_back_rows(const LatencyCurve& curve, std::int64_t rows, std::int64_t row_limit,
                            std::int64_t instances, const PolicyConfig& config) noexcept {
  const double budget_ns = rows == 0
                               ? static_cast<double>(curve.mean_ns(1)) * config.occupancy_factor *
                                     longest_wait(1) / longest_wait(instances)
                               : static_cast<double>(curve.mean_ns(rows)) * config.company_factor;
  return std::max<std::int64_t>(curve.rows_of_mean(static_cast<Nanoseconds>(budget_ns), row_limit),
                                1);
}

bool costs_too_much(const CostQuestion& question, const LatencyCurve& curve) noexcept {
  const std::int64_t batch = std::min(question.rows_waiting, question.row_limit);
  const std::int64_t fits = curve.rows_in_time(question.slack_ns, batch);
  if (fits >= batch) return false;
  const Nanoseconds small_ns = curve.mean_ns(fits);
  if (question.next_slack_ns >= small_ns + curve.tail_ns(batch)) return false;
  // What larger batches run in the time of the small one. Half counts too: it will be so again.
  const double instead = static_cast<double>(batch * small_ns) /
                         static_cast<double>(std::max<Nanoseconds>(curve.mean_ns(batch), 1));
  return instead - static_cast<double>(fits) > static_cast<double>(question.rows) / 2;
}

std::int64_t deadline_rows(const LatencyCurve& curve, Nanoseconds deadline_ns, Nanoseconds now,
                           std::int64_t rows_taken, std::int64_t row_limit) noexcept {
  if (deadline_ns == kNoDeadline) return row_limit;
  return std::max(curve.rows_in_time(deadline_ns - now, row_limit), rows_taken);
}

Nanoseconds expected_wait_ns(const AdmissionQuestion& question) noexcept {
  const std::int64_t batches = question.rows_ahead / question.row_limit;
  if (batches == 0) return 0;
  return batches * question.curve->mean_ns(question.row_limit) / question.instances;
}

std::int64_t rows_due_before(std::int64_t rows, Nanoseconds due_in_ns,
                             Nanoseconds mean_due_in_ns) noexcept {
  // As if due times were spread evenly over twice the mean.
  if (mean_due_in_ns <= 0 || due_in_ns >= 2 * mean_due_in_ns) return rows;
  const double share = static_cast<double>(std::max<Nanoseconds>(due_in_ns, 0)) /
                       static_cast<double>(2 * mean_due_in_ns);
  return static_cast<std::int64_t>(static_cast<double>(rows) * share);
}

Nanoseconds expected_latency_ns(const AdmissionQuestion& question) noexcept {
  const double queued = static_cast<double>(expected_wait_ns(question)) * question.wait_ratio;
  const Nanoseconds wait = static_cast<Nanoseconds>(queued) +
                           std::max<Nanoseconds>(question.instance_free_ns - question.now, 0);
  // Behind a full batch, the one it will be in is full too: more come after it.
  const std::int64_t company = std::min(question.rows_ahead + question.rows, question.row_limit);
  const std::int64_t others = (question.rows - 1) / question.row_limit;
  const Nanoseconds running = others == 0
                                  ? question.curve->tail_ns(company)
                                  : question.curve->tail_ns(question.row_limit) +
                                        others * question.curve->mean_ns(question.row_limit);
  return wait + running;
}

bool can_meet_deadline(const AdmissionQuestion& question) noexcept {
  // With nothing ahead of it a request delays nobody, and running it is the only way to learn that
  // the model has become quicker than a first, cold execution said.
  if (question.deadline_ns == kNoDeadline || question.rows_ahead == 0) return true;
  const Nanoseconds left = question.deadline_ns - question.now;
  return expected_latency_ns(question) <= left - left / kWayBackShare;
}

}  // namespace slipstream
