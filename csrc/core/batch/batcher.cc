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

Batcher::Batcher(RequestPool& pool, const BatcherConfig& config, RelaxedCounter& abandoned)
    : pool_(pool),
      config_(config),
      abandoned_(abandoned),
      batchable_(config.batchable),
      lanes_(config.queue_capacity) {
  // Beyond the lookahead only rests of split requests come in, and only of ever higher priority.
  deferred_.reserve(kLookahead + 2 * kLaneCount);
}

std::int64_t Batcher::row_limit(const RequestOptions& options) const noexcept {
  if (options.max_batch_rows <= 0) return config_.max_batch_rows;
  return std::min(options.max_batch_rows, config_.max_batch_rows);
}

bool Batcher::try_push(Request& request) noexcept {
  return lanes_.try_push(lane_of(request.options.priority), {request.index, request.accepted_ns});
}

bool Batcher::form(Batch& batch, Nanoseconds now) {
  const std::scoped_lock lock(former_mutex_);
  batch.clear();
  drop_answered();
  Request* const head = take_head(now);
  if (head != nullptr) {
    begin_batch(batch, *head);
    if (batchable_.load()) {
      join_deferred(batch);
      join_queued(batch, now);
    }
  }
  deferred_count_.store(deferred_.size(), std::memory_order_release);
  return head != nullptr;
}

bool Batcher::is_drained() noexcept {
  const std::scoped_lock lock(former_mutex_);
  return deferred_.empty() && lanes_.approx_empty();
}

// Lets go of a request that was cancelled or expired, or of which another part has failed.
bool Batcher::drop_if_answered(Request& request) noexcept {
  if (!request.lifecycle.is_claimed()) return false;
  if (request.settle()) abandoned_.add(1);
  pool_.release(request);
  return true;
}

void Batcher::drop_answered() noexcept {
  std::erase_if(deferred_,
                [this](const Deferred& deferred) { return drop_if_answered(*deferred.request); });
}

// The next unanswered request of that lane; null when the lane is empty.
Request* Batcher::pop_lane(std::size_t lane) noexcept {
  QueuedRequest queued;
  while (lanes_.try_pop(lane, queued)) {
    Request& request = pool_.slot(queued.index);
    if (!drop_if_answered(request)) return &request;
  }
  return nullptr;
}

// The request of highest effective priority among the deferred ones and the lanes' heads.
Request* Batcher::take_head(Nanoseconds now) {
  for (;;) {
    const HeadTimes heads = lanes_.heads();
    const std::size_t lane = choose_lane(heads, now, config_.policy);
    const auto priority_of = [&](const Deferred& deferred) {
      return effective_priority(deferred.lane, deferred.request->accepted_ns, now, config_.policy);
    };
    const auto best = std::ranges::max_element(deferred_, {}, priority_of);
    if (best != deferred_.end() &&
        (lane == kNoLane ||
         priority_of(*best) >= effective_priority(lane, heads[lane], now, config_.policy))) {
      Request* const request = best->request;
      deferred_.erase(best);
      return request;
    }
    if (lane == kNoLane) return nullptr;
    if (Request* const request = pop_lane(lane)) return request;
    // Everything in that lane was answered already: look again.
  }
}

void Batcher::begin_batch(Batch& batch, Request& head) {
  batch.row_limit = config_.max_batch_rows;
  const std::int64_t rows =
      batchable_.load() ? std::min(rows_left(head), row_limit(head.options)) : rows_left(head);
  take_rows(batch, head, rows);
}

// Moves `rows` of the request into the batch. When that is all it had, the batch part inherits the
// queue's reference; else the rest stays deferred under it and the part gets one of its own.
void Batcher::take_rows(Batch& batch, Request& request, std::int64_t rows) {
  const std::int64_t begin_row = request.next_row;
  request.next_row += rows;
  if (request.next_row < request.rows) {
    request.lifecycle.add_reference();
    deferred_.push_back({&request, lane_of(request.options.priority)});
  }
  batch.parts.push_back({&request, begin_row, request.next_row});
  batch.rows += rows;
  batch.row_limit = std::min(batch.row_limit, row_limit(request.options));
  batch.outputs_wanted |= request.options.outputs_wanted;
}

bool Batcher::try_join(Batch& batch, Request& candidate) {
  const std::int64_t rows =
      rows_that_join({.batch_rows = batch.rows,
                      .batch_row_limit = batch.row_limit,
                      .candidate_rows = rows_left(candidate),
                      .candidate_row_limit = row_limit(candidate.options),
                      .same_shape = same_shape(*batch.parts.front().request, candidate)});
  if (rows == 0) return false;
  take_rows(batch, candidate, rows);
  return true;
}

void Batcher::join_deferred(Batch& batch) {
  // take_rows may append the rest of a split request behind `count`: those are in the batch
  // already.
  const std::size_t count = deferred_.size();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Deferred deferred = deferred_[i];
    const bool in_batch = deferred.request == batch.parts.front().request;
    if (in_batch || !try_join(batch, *deferred.request)) deferred_[kept++] = deferred;
  }
  deferred_.erase(deferred_.begin() + static_cast<std::ptrdiff_t>(kept),
                  deferred_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Batcher::join_queued(Batch& batch, Nanoseconds now) {
  while (batch.rows < batch.row_limit && deferred_.size() < kLookahead) {
    const std::size_t lane = choose_lane(lanes_.heads(), now, config_.policy);
    if (lane == kNoLane) return;
    Request* const request = pop_lane(lane);
    if (request != nullptr && !try_join(batch, *request)) deferred_.push_back({request, lane});
  }
}

}  // namespace slipstream
