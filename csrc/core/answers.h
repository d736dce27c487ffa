// Answering the requests of a batch: what an execution gave is dealt out to those whose rows it
// had. Free of queues, threads and instances, so that executions that block, run inline, or begin
// and end apart share it.
//
// Threads: one batch by one thread; many batches at once. Failure: what goes wrong here ends the
// requests concerned with the reason. Nothing throws.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/backend.h"
#include "core/batch/batch.h"
#include "core/batch/latency_model.h"
#include "core/completion.h"
#include "core/request_pool.h"
#include "core/stats/model_stats.h"

namespace slipstream {

class Batcher;

struct ExecutionContext {
  const ModelSpec& spec;
  RequestPool& pool;
  Batcher& batcher;
  LatencyModel& latency;
  ModelStats& stats;
  std::pmr::memory_resource* memory;
  CompletionSink* unflushed = nullptr;  // has completions of this batch and was not flushed yet
};

// What one execution gave, and how long it took.
struct Outcome {
  Status status;
  std::vector<Tensor> outputs;
  Nanoseconds execute_ns = 0;
};

// Answers those of the batch that are too late for any execution, and counts the others as taken.
void note_taken(ExecutionContext& context, Batch& batch) noexcept;

// Counts an execution that has ended, and fails one that gave too few or too many outputs.
void note_executed(ExecutionContext& context, Outcome& outcome, std::int64_t rows,
                   Nanoseconds end_ns) noexcept;

// Ends every request whose last rows were in the batch, and learns from it. False: nobody was
// answered; the parts are to be executed one by one (only_part), since one of them may have failed
// the others, or since the model mixes rows.
[[nodiscard]] bool answer(ExecutionContext& context, const Batch& batch,
                          Outcome&& outcome) noexcept;

// A batch of nothing but that part. False: its request has been answered already.
[[nodiscard]] bool only_part(ExecutionContext& context, const BatchPart& part, Batch& single);

// Wakes whoever waits for the answers that were given.
void flush(ExecutionContext& context) noexcept;

// Flushes, and drops the parts' references.
void release(ExecutionContext& context, Batch& batch) noexcept;

}  // namespace slipstream
