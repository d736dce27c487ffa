// How an accepted request ends: exactly one call of its sink, with a Response.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "core/tensor.h"

namespace slipstream {

struct Response {
  Status status;
  std::vector<Tensor> outputs;  // ModelSpec order; unwanted ones may be empty. Empty on failure.
  Nanoseconds total_ns = 0;     // from admission to completion
  Nanoseconds execute_ns = 0;  // inside Instance::execute, summed over the parts of a split request
  std::int64_t batch_rows = 0;  // rows of the (last) execution this request shared
  bool is_shared = false;       // an execution of it held rows of another request, too
  bool is_inline = false;       // it ran on its caller's thread
};

// Where completions go. `complete` is called exactly once per accepted request, on whichever thread
// ended it (a worker, the deadline timer, a canceller, or the submitter itself), and must neither
// block nor throw. A worker that ends several requests of one sink calls `flush` once behind them,
// so that waking the consumer costs one system call for many requests.
// A request shares in its sink's ownership until it was completed and flushed.
class CompletionSink {
 public:
  CompletionSink() = default;
  CompletionSink(const CompletionSink&) = delete;
  CompletionSink& operator=(const CompletionSink&) = delete;
  virtual ~CompletionSink() = default;

  // `tag` is what the submitter passed; ownership of `response` moves to the sink. True: flush me.
  [[nodiscard]] virtual bool complete(std::uint64_t tag, Response&& response) noexcept = 0;
  virtual void flush() noexcept {}
};

// For a sink that its owner keeps alive until `complete` was called, as a blocking caller does with
// one on its stack. Such a sink may not ask for a flush.
[[nodiscard]] inline std::shared_ptr<CompletionSink> borrowed_sink(CompletionSink& sink) noexcept {
  return {std::shared_ptr<void>{}, &sink};
}

}  // namespace slipstream
