#include "core/batch/batcher.h"

#include <algorithm>

namespace slipstream {
namespace {

// Equal dtypes and inner dimensions. The key is a hash: equal shapes always agree in it, so it
// sorts out nearly every mismatch; the dimensions decide.
bool same_shape(const Request& a, const Request& b) noexcept {
  if (a.shape_key != b.shape_key || a.inputs.size() != b.inputs.size()) return false;
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    const Tensor& x = a.inputs[i];
    const Tensor& y = b.inputs[i];
    if (x.dtype() != y.dtype() || x.shape().rank() != y.shape().rank()) return false;
    const auto x_inner = x.shape().dims().subspan(1);
    if (!std::ranges::equal(x_inner, y.shape().dims().subspan(1))) return false;
  }
  return true;
}

std::int64_t rows_left(const Request& request) noexcept {
  return request.rows - request.next_row;
}

}  // namespace

Batcher::Batcher(RequestPool& pool, const BatcherConfig& config, const LatencyModel& latency,
                 RelaxedCounter& abandoned)
    : pool_(pool),
      config_(config),
      latency_(latency),
      abandoned_(abandoned),
      batchable_(config.batchable),
      max_batch_rows_(config.max_batch_rows),
      instances_(config.instances),
      lanes_(config.queue_capacity) {
  // Beyond the lookahead only rests of split requests come in, and only of ever higher priority.
  deferred_.reserve(kLookahead + 2 * kLaneCount);
  for (auto& ratio : wait_ratios_) ratio.set(1.0);
  last_taken_ns_.fill(-kNoDeadline / 2);  // long ago
}

std::int64_t Batcher::row_limit(const RequestOptions& options) const noexcept {
  const std::int64_t most = max_batch_rows_.value();
  return options.max_batch_rows <= 0 ? most : std::min(options.max_batch_rows, most);
}

std::int64_t Batcher::row_limit(const Request& request) const noexcept {
  const std::int64_t limit = row_limit(request.options);
  return request.split ? limit : std::max(limit, request.rows);
}

bool Batcher::try_push(Request& request) noexcept {
  const std::size_t lane = lane_of(request.options.priority);
  const std::int64_t rows = request.rows;
  waiting_.add(lane, rows);  // before the push: whoever is notified of it sees them
  if (lanes_.try_push(lane, {request.index, request.accepted_ns})) return true;
  waiting_.add(lane, -rows);
  return false;
}

AdmissionQuestion Batcher::admission_question(const RequestOptions& options, std::int64_t rows,
                                              std::uint64_t shape_key,
                                              Nanoseconds now) const noexcept {
  const std::size_t lane = lane_of(options.priority);
  const Nanoseconds due_in_ns = due_ns(options.deadline_ns, now, config_.policy) - now;
  return {.now = now,
          .deadline_ns = options.deadline_ns,
          .rows = rows,
          .row_limit = is_batching() ? row_limit(options) : rows,
          .rows_ahead = waiting_.from(lane + 1) + rows_due_before(waiting_.in_lane(lane), due_in_ns,
                                                                  mean_due_in_ns_[lane].value()),
          .instances = instances_.value(),
          .instance_free_ns = instance_free_ns_.value(),
          .wait_ratio = wait_ratios_[lane].value(),
          .curve = &latency_.curve(shape_key)};
}

bool Batcher::form(Batch& batch, Nanoseconds now) {
  batch.clear();
  if (approx_empty()) return false;
  const std::scoped_lock lock(former_mutex_);
  drop_answered();
  Forming forming{.batch = batch, .now = now, .heads = {}};
  for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
    forming.heads[lane] = waiting_.in_lane(lane) == 0 ? kNoDeadline : look_at_head(lane);
  }
  Request* const head = take_head(forming);
  if (head != nullptr) {
    begin_batch(forming, *head);
    // Most requests of a quiet model are alone: they pay for no more than this.
    Nanoseconds execute_ns = forming.curve->learned_ns(batch.rows);
    if (!approx_empty() && batchable_.load() && !head->options.is_alone) {
      set_limits(forming, *head);
      join_deferred(forming);
      join_queued(forming);
      execute_ns = forming.curve->mean_ns(batch.rows);
    }
    note_execution(now, execute_ns);
    if (batch.parts.size() >= kCrowd) crowded_until_ns_.set(now + kCrowdExecutions * execute_ns);
  }
  deferred_count_.store(deferred_.size() + ordered_, std::memory_order_release);
  return head != nullptr || !batch.late.empty();
}

bool Batcher::is_drained() noexcept {
  const std::scoped_lock lock(former_mutex_);
  return waiting_.is_none();
}

// Lets go of a request that was cancelled or expired, or of which another part has failed.
bool Batcher::drop_if_answered(Request& request) noexcept {
  if (!request.lifecycle.is_claimed()) return false;
  waiting_.add(lane_of(request.options.priority), -rows_left(request));
  if (request.settle()) abandoned_.add(1);
  pool_.release(request);
  return true;
}

void Batcher::drop_answered() noexcept {
  std::erase_if(deferred_,
                [this](const Deferred& deferred) { return drop_if_answered(*deferred.request); });
}

Nanoseconds Batcher::due_of(const Request& request) const noexcept {
  return due_ns(request.options.deadline_ns, request.accepted_ns, config_.policy);
}

// The accept time of the request that goes next in that lane; kNoDeadline when it is empty.
Nanoseconds Batcher::look_at_head(std::size_t lane) noexcept {
  LaneState& state = states_[lane];
  if (!state.order.is_needed()) return lanes_.head(lane);
  while (!state.order.is_full()) {
    Request* const request = pop_ring(lane);
    if (request == nullptr) break;
    const Nanoseconds due = due_of(*request);
    state.order.push(*request, due);
    ++ordered_;
    state.mean_due_in_ns += (due - request->accepted_ns - state.mean_due_in_ns) / 64;
  }
  if (!state.order.is_empty()) {
    mean_due_in_ns_[lane].set(state.mean_due_in_ns);
    return state.order.first().accepted_ns;
  }
  state.order.reset();
  mean_due_in_ns_[lane].set(0);
  return lanes_.head(lane);
}

// The next unanswered request in order of arrival; null when the ring is empty.
Request* Batcher::pop_ring(std::size_t lane) noexcept {
  QueuedRequest queued;
  while (lanes_.try_pop(lane, queued)) {
    Request& request = pool_.slot(queued.index);
    if (!drop_if_answered(request)) return &request;
  }
  return nullptr;
}

// The next unanswered request of that lane; null when the lane is empty.
Request* Batcher::pop_lane(Forming& forming, std::size_t lane) noexcept {
  DueOrder& order = states_[lane].order;
  Request* found = nullptr;
  if (order.is_needed()) {
    while (found == nullptr && !order.is_empty()) {
      Request& request = order.pop();
      --ordered_;
      if (!drop_if_answered(request)) found = &request;
    }
  } else {
    found = pop_ring(lane);
    if (found != nullptr) order.note(due_of(*found));
  }
  forming.heads[lane] = look_at_head(lane);
  return found;
}

// The request that goes next: of every lane the one that is due first, deferred or not; among these
// the one of highest effective priority.
Request* Batcher::take_highest(Forming& forming) {
  for (;;) {
    HeadTimes heads = forming.heads;
    std::array<const Deferred*, kLaneCount> firsts{};
    for (const Deferred& deferred : deferred_) {
      const Deferred*& first = firsts[deferred.lane];
      if (first == nullptr || due_of(*deferred.request) < due_of(*first->request)) {
        first = &deferred;
      }
    }
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      if (firsts[lane] == nullptr) continue;
      const Request* const head = heads[lane] == kNoDeadline ? nullptr : peek_lane(lane);
      if (head != nullptr && due_of(*head) < due_of(*firsts[lane]->request)) {
        firsts[lane] = nullptr;
      } else {
        heads[lane] = firsts[lane]->request->accepted_ns;
      }
    }
    const std::size_t lane = choose_lane(heads, forming.now, config_.policy);
    if (lane == kNoLane) return nullptr;
    if (firsts[lane] != nullptr) {
      Request* const request = firsts[lane]->request;
      deferred_.erase(deferred_.begin() + (firsts[lane] - deferred_.data()));
      return request;
    }
    if (Request* const request = pop_lane(forming, lane)) return request;
    // Everything in that lane was answered already: look again.
  }
}

// The request that the batch begins with. Those that are late are set aside, unless nothing else is
// there to run: then what was learned may be wrong, and running it is the way to know.
Request* Batcher::take_head(Forming& forming) {
  for (;;) {
    Request* const request = take_highest(forming);
    if (request == nullptr) return nullptr;
    const bool is_expired = request->options.deadline_ns <= forming.now;
    const bool is_alone = waiting_.from(0) <= rows_left(*request);
    if (is_alone && !is_expired) return request;
    if (!is_late(*request, forming.now) && is_worth_it(*request, forming.now)) return request;
    drop_late(forming, *request);
  }
}

bool Batcher::is_late(const Request& request, Nanoseconds now) const noexcept {
  if (request.options.deadline_ns == kNoDeadline) return false;
  const std::int64_t rows =
      batchable_.load() ? std::min(rows_left(request), row_limit(request)) : rows_left(request);
  return !can_start_now(request.options.deadline_ns, now,
                        latency_.curve(request.shape_key).mean_ns(rows));
}

bool Batcher::is_worth_it(const Request& request, Nanoseconds now) const noexcept {
  if (request.options.deadline_ns == kNoDeadline || !batchable_.load()) return true;
  const std::size_t lane = lane_of(request.options.priority);
  const Nanoseconds next = next_deadline(lane);
  return !costs_too_much({.slack_ns = request.options.deadline_ns - now,
                          .next_slack_ns = next == kNoDeadline ? next : next - now,
                          .rows = rows_left(request),
                          .rows_waiting = waiting_.from(lane),
                          .row_limit = row_limit(request)},
                         latency_.curve(request.shape_key));
}

// The request that goes next in that lane, but for those that are deferred; null: none is there.
const Request* Batcher::peek_lane(std::size_t lane) const noexcept {
  const DueOrder& order = states_[lane].order;
  if (!order.is_empty()) return &order.first();
  QueuedRequest next;
  return lanes_.try_peek(lane, next) ? &pool_.slot(next.index) : nullptr;
}

Nanoseconds Batcher::next_deadline(std::size_t lane) const noexcept {
  const Request* const next = peek_lane(lane);
  return next == nullptr ? kNoDeadline : next->options.deadline_ns;
}

void Batcher::drop_late(Forming& forming, Request& request) {
  waiting_.add(lane_of(request.options.priority), -rows_left(request));
  learn_wait(request, forming.now);
  forming.batch.late.push_back(&request);
}

void Batcher::begin_batch(Forming& forming, Request& head) {
  LaneState& state = states_[lane_of(head.options.priority)];
  if (state.wait.forget()) wait_ratios_[lane_of(head.options.priority)].set(state.wait.value());
  forming.curve = &latency_.curve(head.shape_key);
  forming.batch.row_limit = max_batch_rows_.value();
  const std::int64_t rows =
      batchable_.load() ? std::min(rows_left(head), row_limit(head)) : rows_left(head);
  take_rows(forming, head, rows);
}

// What the head's company has to keep to.
void Batcher::set_limits(Forming& forming, const Request& head) noexcept {
  Batch& batch = forming.batch;
  const LatencyCurve& curve = *forming.curve;
  std::size_t arriving = kLaneCount - 1;
  while (last_taken_ns_[arriving] <= forming.now - config_.policy.arriving_ns) --arriving;
  forming.held_back_below = arriving - std::min(arriving, config_.policy.held_back_levels - 1);
  if (forming.held_back_below > 0) {
    const bool is_held_back = lane_of(head.options.priority) < forming.held_back_below;
    forming.held_back_rows = held_back_rows(curve, is_held_back ? 0 : batch.rows, batch.row_limit,
                                            instances_.value(), config_.policy);
  }
  forming.full_end_ns = forming.now + curve.tail_ns(batch.row_limit);
  if (head.options.deadline_ns < forming.full_end_ns) {
    batch.row_limit =
        deadline_rows(curve, head.options.deadline_ns, forming.now, batch.rows, batch.row_limit);
  }
}

// Moves `rows` of the request into the batch. When that is all it had, the batch part inherits the
// queue's reference; else the rest stays deferred under it and the part gets one of its own.
void Batcher::take_rows(Forming& forming, Request& request, std::int64_t rows) {
  Batch& batch = forming.batch;
  const std::size_t lane = lane_of(request.options.priority);
  const std::int64_t begin_row = request.next_row;
  if (begin_row == 0) learn_wait(request, forming.now);
  last_taken_ns_[lane] = forming.now;
  waiting_.add(lane, -rows);
  request.next_row += rows;
  if (request.next_row < request.rows) {
    request.lifecycle.add_reference();
    deferred_.push_back({&request, lane});
  }
  batch.parts.push_back({&request, begin_row, request.next_row});
  batch.rows += rows;
  batch.row_limit = std::min(batch.row_limit, row_limit(request));
  if (request.options.deadline_ns < forming.full_end_ns) {
    batch.row_limit = deadline_rows(*forming.curve, request.options.deadline_ns, forming.now,
                                    batch.rows, batch.row_limit);
  }
  batch.outputs_wanted |= request.options.outputs_wanted;
}

void Batcher::learn_wait(const Request& request, Nanoseconds now) noexcept {
  if (request.expected_wait_ns <= 0) return;
  const std::size_t lane = lane_of(request.options.priority);
  WaitRatio& wait = states_[lane].wait;
  wait.observe(request.expected_wait_ns, std::max<Nanoseconds>(now - request.wait_begin_ns, 0));
  wait_ratios_[lane].set(wait.value());
}

// True when the candidate needs no more waiting: it is in the batch, or late for good.
bool Batcher::try_join(Forming& forming, Request& candidate) {
  Batch& batch = forming.batch;
  std::int64_t limit = batch.row_limit;
  if (lane_of(candidate.options.priority) < forming.held_back_below) {
    limit = std::min(limit, forming.held_back_rows);
  }
  if (candidate.options.deadline_ns < forming.full_end_ns) {
    if (is_late(candidate, forming.now) || !is_worth_it(candidate, forming.now)) {
      drop_late(forming, candidate);
      return true;
    }
    limit = deadline_rows(*forming.curve, candidate.options.deadline_ns, forming.now, 0, limit);
  }
  const std::int64_t rows =
      rows_that_join({.batch_rows = batch.rows,
                      .batch_row_limit = limit,
                      .candidate_rows = rows_left(candidate),
                      .candidate_row_limit = row_limit(candidate),
                      .same_shape = same_shape(*batch.parts.front().request, candidate),
                      .is_alone = candidate.options.is_alone});
  if (rows == 0) return false;
  take_rows(forming, candidate, rows);
  return true;
}

void Batcher::join_deferred(Forming& forming) {
  // take_rows may append the rest of a split request behind `count`: those are in the batch
  // already.
  const std::size_t count = deferred_.size();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Deferred deferred = deferred_[i];
    const bool in_batch = deferred.request == forming.batch.parts.front().request;
    if (in_batch || !try_join(forming, *deferred.request)) deferred_[kept++] = deferred;
  }
  deferred_.erase(deferred_.begin() + static_cast<std::ptrdiff_t>(kept),
                  deferred_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Batcher::join_queued(Forming& forming) {
  const Batch& batch = forming.batch;
  while (batch.rows < batch.row_limit && deferred_.size() < kLookahead) {
    const std::size_t lane = choose_lane(forming.heads, forming.now, config_.policy);
    if (lane == kNoLane) return;
    // Nor would any below it: no row of theirs may come in.
    if (lane < forming.held_back_below && batch.rows >= forming.held_back_rows) return;
    Request* const request = pop_lane(forming, lane);
    if (request != nullptr && !try_join(forming, *request)) deferred_.push_back({request, lane});
  }
}

}  // namespace slipstream
