#include "core/pipelined_executor.h"

#include <algorithm>
#include <utility>

namespace slipstream {
namespace {

constexpr int kWeight = 8;  // of the past, in averages

}  // namespace

PipelinedExecutor::PipelinedExecutor(ExecutionContext& context, PipelinedInstance& instance,
                                     std::int64_t max_batch_rows)
    : context_(context), instance_(instance), flights_(std::max<std::size_t>(instance.depth(), 1)) {
  for (Flight& each : flights_) {
    each.batch.reserve(max_batch_rows);
    each.pieces.reserve(each.batch.parts.capacity());
    again_.reserve(again_.capacity() + each.batch.parts.capacity());
  }
}

void PipelinedExecutor::begin(Wake wake, Nanoseconds wake_above_ns) noexcept {
  Flight& next = flight(in_progress_);
  note_taken(context_, next.batch);
  if (next.batch.parts.empty()) return;
  const Request& head = *next.batch.parts.front().request;
  next.expected_ns = context_.latency.curve(head.shape_key).mean_ns(next.batch.rows);
  const bool is_short = next.expected_ns > 0 && next.expected_ns <= wake_above_ns;
  launch(next, is_short ? Wake{} : wake);
}

bool PipelinedExecutor::begin_again(Wake wake) noexcept {
  Flight& next = flight(in_progress_);
  while (!again_.empty()) {
    const BatchPart part = again_.back();
    again_.pop_back();
    if (only_part(context_, part, next.batch)) {
      next.expected_ns = 0;
      launch(next, wake);
      return true;
    }
    context_.pool.release(*part.request);
  }
  return false;
}

void PipelinedExecutor::launch(Flight& next, Wake wake) noexcept {
  next.pieces.clear();
  for (const BatchPart& part : next.batch.parts) {
    next.pieces.push_back({part.request->inputs, part.begin_row, part.end_row});
  }
  next.wakes = wake.function != nullptr;
  next.is_alone = in_progress_ == 0;
  next.begin_ns = now_ns();
  instance_.begin({.pieces = next.pieces,
                   .rows = next.batch.rows,
                   .outputs_wanted = next.batch.outputs_wanted,
                   .memory = context_.memory,
                   .wake = wake.function,
                   .wake_context = wake.context});
  context_.stats.stages.stage.record(now_ns() - next.begin_ns);
  ++in_progress_;
}

bool PipelinedExecutor::end_first() noexcept {
  Outcome outcome;
  if (in_progress_ == 0 || !instance_.poll(outcome.status, outcome.outputs)) return false;
  Flight& first = flight(0);
  first_ = (first_ + 1) % flights_.size();
  --in_progress_;
  end(first, std::move(outcome));
  return true;
}

void PipelinedExecutor::end(Flight& ended, Outcome&& outcome) noexcept {
  const Nanoseconds now = now_ns();
  outcome.execute_ns = now - std::max(ended.begin_ns, std::exchange(last_end_ns_, now));
  if (ended.is_alone && outcome.status.is_ok()) learn(now - ended.begin_ns, ended.batch.rows);
  note_executed(context_, outcome, ended.batch.rows, now);
  if (!answer(context_, ended.batch, std::move(outcome))) {
    // Their references go with them.
    again_.insert(again_.end(), ended.batch.parts.rbegin(), ended.batch.parts.rend());
    ended.batch.clear();
    return;
  }
  release(context_, ended.batch);
}

void PipelinedExecutor::learn(Nanoseconds took_ns, std::int64_t rows) noexcept {
  const Nanoseconds computed_ns = instance_.computed_ns();
  if (computed_ns <= 0) return;
  computing_.observe(rows, computed_ns);
  const Nanoseconds beside_ns = std::max<Nanoseconds>(took_ns - computed_ns, 0);
  beside_ns_ += (beside_ns - beside_ns_) / kWeight;
}

Nanoseconds PipelinedExecutor::busy_until_ns(Nanoseconds now) const noexcept {
  if (in_progress_ == 0) return now;
  Nanoseconds until_ns = std::max(now, first_until_ns());
  for (std::size_t i = 1; i < in_progress_; ++i) until_ns += flight(i).expected_ns;
  return until_ns;
}

Nanoseconds PipelinedExecutor::first_until_ns() const noexcept {
  const Flight& first = flight(0);
  return std::max(first.begin_ns, last_end_ns_) + first.expected_ns;
}

}  // namespace slipstream
