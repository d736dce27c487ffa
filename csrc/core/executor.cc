#include "core/executor.h"

#include <exception>
#include <string>
#include <utility>

#include "core/staging/rows.h"

namespace slipstream {
namespace {

// Runs the backend; a thrown bad_alloc becomes a Status like any other failure.
Outcome execute(ExecutionContext& context, Instance& instance, std::span<const Tensor> inputs,
                std::uint64_t outputs_wanted, std::int64_t rows) noexcept {
  Outcome outcome;
  const Nanoseconds begin = now_ns();
  try {
    outcome.status = instance.execute(
        {.inputs = inputs, .outputs_wanted = outputs_wanted, .memory = context.memory},
        outcome.outputs);
  } catch (const std::exception& error) {
    outcome.status = internal_error(std::string("the backend threw: ") + error.what());
  }
  const Nanoseconds end = now_ns();
  outcome.execute_ns = end - begin;
  note_executed(context, outcome, rows, end);
  return outcome;
}

// Gathers and executes; the stage's time is recorded, the outcome returned.
Outcome gather_and_execute(ExecutionContext& context, Instance& instance,
                           const Batch& batch) noexcept {
  try {
    const Nanoseconds begin = now_ns();
    const std::size_t count = batch.parts.front().request->inputs.size();
    std::vector<Tensor> inputs;
    inputs.reserve(count);
    for (std::size_t i = 0; i < count; ++i) inputs.push_back(gather_rows(batch, i, context.memory));
    context.stats.stages.stage.record(now_ns() - begin);
    return execute(context, instance, inputs, batch.outputs_wanted, batch.rows);
  } catch (const std::bad_alloc&) {
    return {.status = resource_exhausted("out of memory while gathering a batch of " +
                                         std::to_string(batch.rows) + " rows"),
            .outputs = {},
            .execute_ns = 0};
  }
}

void run_one_by_one(ExecutionContext& context, Instance& instance, const Batch& batch) noexcept {
  Batch single;
  for (const BatchPart& part : batch.parts) {
    if (!only_part(context, part, single)) continue;
    (void)answer(context, single, gather_and_execute(context, instance, single));  // it is alone
    flush(context);  // nobody waits for the executions behind his own
  }
}

}  // namespace

void run_batch(ExecutionContext& context, Instance& instance, Batch& batch) noexcept {
  note_taken(context, batch);
  if (batch.parts.empty()) return;
  if (!answer(context, batch, gather_and_execute(context, instance, batch))) {
    run_one_by_one(context, instance, batch);
  }
  release(context, batch);
}

Response run_once(ExecutionContext& context, Instance& instance, std::span<const Tensor> inputs,
                  std::uint64_t outputs_wanted, std::uint64_t shape_key,
                  std::int64_t rows) noexcept {
  Outcome outcome = execute(context, instance, inputs, outputs_wanted, rows);
  if (outcome.status.is_ok()) context.latency.observe_inline(shape_key, rows, outcome.execute_ns);
  return {.status = std::move(outcome.status),
          .outputs = std::move(outcome.outputs),
          .total_ns = outcome.execute_ns,
          .execute_ns = outcome.execute_ns,
          .batch_rows = rows,
          .is_inline = true};
}

}  // namespace slipstream
