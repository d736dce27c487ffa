// Request: one accepted call of a model, living in a slot of the RequestPool from admission to the
// moment its last reference goes.
//
// Fields in the first group are written by the submitter before the request becomes visible and are
// constant afterwards. The second group belongs to whoever holds the model's former lock. The third
// is shared and says how.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/clock.h"
#include "core/completion.h"
#include "core/lifecycle.h"
#include "core/priority.h"
#include "core/tensor.h"

namespace slipstream {

// What a caller may ask of one request.
struct RequestOptions {
  int priority = kNormalPriority;
  Nanoseconds deadline_ns = kNoDeadline;  // absolute, on now_ns()'s clock
  std::int64_t max_batch_rows = 0;        // most rows of one execution; 0: the model's maximum
  std::uint64_t outputs_wanted = ~std::uint64_t{0};
  bool is_alone = false;  // its executions hold rows of no other request
  // Its thread does nothing else until the answer is there, and nobody needs it meanwhile: what
  // would wait for a worker may as well compute. Never for the thread of an event loop.
  bool caller_waits = false;
};

// The answers of a request's row ranges while it is split over several executions.
struct SplitParts {
  struct Part {
    std::int64_t begin_row;
    std::vector<Tensor> outputs;
  };
  std::atomic<bool> settled{false};  // see Request::settle
  std::mutex mutex;
  std::vector<Part> parts;         // guarded by mutex
  std::int64_t rows_done = 0;      // guarded by mutex
  Nanoseconds execute_ns_sum = 0;  // guarded by mutex
  bool is_shared = false;          // of any part; guarded by mutex
};

struct Request {
  // Written before admission, constant after it.
  std::vector<Tensor> inputs;  // ModelSpec order
  RequestOptions options;
  std::shared_ptr<CompletionSink> sink;
  std::uint64_t tag = 0;
  std::uint32_t index = 0;      // of its slot
  std::int64_t rows = 0;        // 1 for unbatched models
  std::uint64_t shape_key = 0;  // hash of dtypes and inner dimensions: equal keys may batch
  Nanoseconds accepted_ns = 0;
  // As admission saw it: how long the queue ahead takes, once the execution that ran then ends.
  Nanoseconds expected_wait_ns = 0;  // 0: it did not look, or there was no queue
  Nanoseconds wait_begin_ns = 0;
  std::unique_ptr<SplitParts> split;  // only for requests of more rows than one execution takes

  // Guarded by the model's former lock.
  std::int64_t next_row = 0;  // rows before it are taken by executions

  // Shared: any thread.
  std::atomic<Nanoseconds> deadline_ns{kNoDeadline};  // a copy for the deadline timer's scan
  Lifecycle lifecycle;

  // For the model's side (its workers and its batcher), before it ends or drops the request: true
  // for one part of a split request only, and always for others. So each is counted once.
  [[nodiscard]] bool settle() const noexcept { return !split || !split->settled.exchange(true); }
};

// Names a request for cancellation. Stays valid, and harmless, after the request ended.
struct Ticket {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0: no request

  [[nodiscard]] std::uint64_t packed() const noexcept {
    return (std::uint64_t{generation} << 32) | index;
  }
  [[nodiscard]] static Ticket unpack(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
  }
};

}  // namespace slipstream
