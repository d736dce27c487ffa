#include "core/answers.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "core/batch/batcher.h"
#include "core/staging/rows.h"

namespace slipstream {
namespace {

Status check_outputs(const ExecutionContext& context, const std::vector<Tensor>& outputs) {
  if (outputs.size() == context.spec.outputs.size()) return Status::ok();
  return internal_error("the backend returned " + std::to_string(outputs.size()) +
                        " outputs where the model declares " +
                        std::to_string(context.spec.outputs.size()));
}

// Whether each wanted output has as many rows as went in, so that rows can be dealt out again.
bool has_rows(const std::vector<Tensor>& outputs, std::int64_t rows) noexcept {
  return std::ranges::all_of(outputs, [rows](const Tensor& output) {
    const bool is_unwanted = output.data() == nullptr;
    return is_unwanted || (output.shape().rank() >= 1 && output.rows() == rows);
  });
}

void count_end(ModelStats& stats, const Request& request, const Response& response) noexcept {
  if (response.status.is_ok()) {
    stats.succeeded.add(1);
    stats.rows.add(static_cast<std::uint64_t>(request.rows));
  } else {
    stats.failed.add(1);
  }
  stats.stages.total.record(response.total_ns);
}

// Answers the request unless somebody (deadline, canceller, another part that failed) was faster.
void finish(ExecutionContext& context, Request& request, Response&& response) noexcept {
  if (!request.settle()) return;
  if (!request.lifecycle.claim()) {
    context.stats.abandoned.add(1);
    return;
  }
  const Nanoseconds now = now_ns();
  response.total_ns = now - request.accepted_ns;
  context.stats.last_used_ns.set(now);
  count_end(context.stats, request, response);
  CompletionSink* const sink = request.sink.get();
  if (!sink->complete(request.tag, std::move(response))) return;
  // Consecutive requests usually share their sink: one flush for all of them.
  if (context.unflushed != sink) flush(context);
  context.unflushed = sink;
}

// A model that cannot be split after all. It is not batched again either, for the same reason: what
// it answers for a row depends on the row's company.
Status cannot_join(ExecutionContext& context, const Request& request) {
  context.batcher.stop_batching();
  return internal_error(
      "the model's answers to the parts of this request differ in shape or number of rows and "
      "cannot be joined; send at most " +
      std::to_string(context.batcher.row_limit(request.options)) +
      " rows, or send it again: the model runs requests whole from now on");
}

// Equal dtypes and inner dimensions, as concat_rows wants them.
bool fit_together(std::span<const Tensor> pieces) noexcept {
  const Tensor& first = pieces.front();
  return std::ranges::all_of(pieces, [&first](const Tensor& piece) {
    return piece.dtype() == first.dtype() && piece.shape().rank() == first.shape().rank() &&
           std::ranges::equal(piece.shape().dims().subspan(1), first.shape().dims().subspan(1));
  });
}

// Adds a part's answer to its split request; gives the whole answer, or why there is none, once
// every row is there.
bool collect_part(ExecutionContext& context, Request& request, const BatchPart& part,
                  Response& response) {
  SplitParts& split = *request.split;
  const std::scoped_lock lock(split.mutex);
  split.rows_done += part.rows();
  split.execute_ns_sum += response.execute_ns;
  split.is_shared = split.is_shared || response.is_shared;
  split.parts.push_back({part.begin_row, std::move(response.outputs)});
  if (split.rows_done < request.rows) return false;
  std::ranges::sort(split.parts, {}, &SplitParts::Part::begin_row);
  response.execute_ns = split.execute_ns_sum;
  response.is_shared = split.is_shared;
  response.outputs.clear();
  std::vector<Tensor> pieces(split.parts.size());
  for (std::size_t output = 0; output < context.spec.outputs.size(); ++output) {
    std::ranges::transform(split.parts, pieces.begin(),
                           [output](const SplitParts::Part& p) { return p.outputs[output]; });
    // Some parts may have an output that only their company wanted.
    const bool is_unwanted =
        std::ranges::any_of(pieces, [](const Tensor& piece) { return piece.data() == nullptr; });
    if (!is_unwanted && !fit_together(pieces)) {
      response.status = cannot_join(context, request);
      response.outputs.clear();
      return true;
    }
    response.outputs.push_back(is_unwanted ? Tensor{} : concat_rows(pieces, context.memory));
  }
  return true;
}

// The rows of `part` out of the execution's outputs, which begin at the batch's row `first_row`.
std::vector<Tensor> scatter(const std::vector<Tensor>& outputs, std::int64_t first_row,
                            const BatchPart& part) {
  std::vector<Tensor> rows;
  rows.reserve(outputs.size());
  for (const Tensor& output : outputs) {
    rows.push_back(output.data() == nullptr
                       ? Tensor{}
                       : output.slice_rows(first_row, first_row + part.rows()));
  }
  return rows;
}

// Hands one part its share of the outcome.
void finish_part(ExecutionContext& context, const BatchPart& part, std::vector<Tensor>&& outputs,
                 Nanoseconds execute_ns, std::int64_t batch_rows) noexcept {
  Request& request = *part.request;
  Response response{.status = {},
                    .outputs = std::move(outputs),
                    .total_ns = 0,
                    .execute_ns = execute_ns,
                    .batch_rows = batch_rows,
                    .is_shared = batch_rows > part.rows()};
  try {
    // A split request may still run whole, if batching stopped after it was admitted.
    if (!part.is_whole() && !collect_part(context, request, part, response)) return;
  } catch (const std::bad_alloc&) {
    response.status = resource_exhausted("out of memory while joining the answer's parts");
    response.outputs.clear();
  }
  finish(context, request, std::move(response));
}

void fail_part(ExecutionContext& context, const BatchPart& part, const Status& status,
               Nanoseconds execute_ns, std::int64_t batch_rows) noexcept {
  finish(context, *part.request,
         Response{.status = status,
                  .outputs = {},
                  .total_ns = 0,
                  .execute_ns = execute_ns,
                  .batch_rows = batch_rows,
                  .is_shared = batch_rows > part.rows()});
}

// A batch of one part: its answer needs no dealing out unless the model keeps to rows.
void answer_single(ExecutionContext& context, const Batch& batch, Outcome&& outcome) noexcept {
  const BatchPart& part = batch.parts.front();
  if (outcome.status.is_ok() && !part.is_whole() && !has_rows(outcome.outputs, part.rows())) {
    outcome.status = cannot_join(context, *part.request);
  }
  if (!outcome.status.is_ok()) {
    fail_part(context, part, outcome.status, outcome.execute_ns, batch.rows);
    return;
  }
  context.latency.observe(part.request->shape_key, batch.rows, outcome.execute_ns);
  finish_part(context, part, std::move(outcome.outputs), outcome.execute_ns, batch.rows);
}

// Whether running the requests of a failed batch alone can help: not when the instance itself broke
// (a child process died), nor when there is no memory.
bool is_worth_isolating(const Status& status) noexcept {
  return status.code() == StatusCode::kInvalidArgument || status.code() == StatusCode::kInternal;
}

void deal_out(ExecutionContext& context, const Batch& batch, const Outcome& outcome) noexcept {
  std::int64_t row = 0;
  for (const BatchPart& part : batch.parts) {
    try {
      finish_part(context, part, scatter(outcome.outputs, row, part), outcome.execute_ns,
                  batch.rows);
    } catch (const std::bad_alloc&) {
      fail_part(context, part, resource_exhausted("out of memory while dealing out answers"),
                outcome.execute_ns, batch.rows);
    }
    row += part.rows();
  }
}

// Answers those that were taken out of the queue because they could not make it any more.
void finish_late(ExecutionContext& context, Batch& batch) noexcept {
  for (Request* const request : batch.late) {
    if (!request->settle()) continue;
    context.stats.abandoned.add(1);
    if (!request->lifecycle.claim()) continue;
    Response response{
        .status = Status(StatusCode::kDeadlineExceeded,
                         "the request waited until it could not be answered before its deadline "
                         "any more; raise its timeout or send it with a higher priority"),
        .outputs = {},
        .total_ns = now_ns() - request->accepted_ns,
        .execute_ns = 0,
        .batch_rows = 0};
    if (!request->sink->complete(request->tag, std::move(response))) continue;
    if (context.unflushed != request->sink.get()) flush(context);
    context.unflushed = request->sink.get();
  }
  flush(context);
  for (Request* const request : batch.late) context.pool.release(*request);
  batch.late.clear();
}

}  // namespace

void note_taken(ExecutionContext& context, Batch& batch) noexcept {
  const Nanoseconds taken_ns = now_ns();
  if (!batch.late.empty()) finish_late(context, batch);
  for (const BatchPart& part : batch.parts) {
    context.stats.stages.queue.record(taken_ns - part.request->accepted_ns);
  }
  context.stats.max_batch_rows_seen.set(
      std::max(context.stats.max_batch_rows_seen.value(), batch.rows));
}

void note_executed(ExecutionContext& context, Outcome& outcome, std::int64_t rows,
                   Nanoseconds end_ns) noexcept {
  if (outcome.status.is_ok()) outcome.status = check_outputs(context, outcome.outputs);
  ModelStats& stats = context.stats;
  stats.last_used_ns.set(end_ns);
  stats.executions.record(rows);
  stats.execute_ns_sum.add(static_cast<std::uint64_t>(outcome.execute_ns));
  stats.last_execute_ns.set(outcome.execute_ns);
  stats.stages.execute.record(outcome.execute_ns);
}

bool answer(ExecutionContext& context, const Batch& batch, Outcome&& outcome) noexcept {
  if (batch.parts.size() == 1) {
    answer_single(context, batch, std::move(outcome));
    return true;
  }
  if (outcome.status.is_ok() && !has_rows(outcome.outputs, batch.rows)) {
    // The model mixes rows, whatever its signature says. Never batch it again, and answer these
    // requests as if it never had been.
    context.batcher.stop_batching();
    return false;
  }
  if (!outcome.status.is_ok()) {
    if (is_worth_isolating(outcome.status)) return false;
    for (const BatchPart& part : batch.parts) {
      fail_part(context, part, outcome.status, outcome.execute_ns, batch.rows);
    }
    return true;
  }
  context.latency.observe(batch.parts.front().request->shape_key, batch.rows, outcome.execute_ns);
  deal_out(context, batch, outcome);
  return true;
}

bool only_part(ExecutionContext& context, const BatchPart& part, Batch& single) {
  if (part.request->lifecycle.is_claimed()) {
    if (part.request->settle()) context.stats.abandoned.add(1);
    return false;
  }
  single.parts.assign(1, part);
  single.rows = part.rows();
  single.outputs_wanted = part.request->options.outputs_wanted;
  return true;
}

void flush(ExecutionContext& context) noexcept {
  if (context.unflushed != nullptr) std::exchange(context.unflushed, nullptr)->flush();
}

void release(ExecutionContext& context, Batch& batch) noexcept {
  const Nanoseconds begin = now_ns();
  flush(context);
  for (const BatchPart& part : batch.parts) context.pool.release(*part.request);
  context.stats.stages.complete.record(now_ns() - begin);
  batch.clear();
}

}  // namespace slipstream
