// Servable: what answers requests under a name: one loaded model (served_model.h), or several that
// make one answer (compose/composite.h). What stands above the core sees no difference.
//
// Threads: any. Every accepted request gets exactly one completion, also through close().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/completion.h"
#include "core/request.h"
#include "core/stats/model_stats.h"

namespace slipstream {

class Servable {
 public:
  Servable() = default;
  Servable(const Servable&) = delete;
  Servable& operator=(const Servable&) = delete;
  virtual ~Servable() = default;

  // Accepts a request, or says why not; on success `sink` gets exactly one completion with `tag`,
  // possibly before this returns. `inputs` is in ModelSpec order, its memory constant until then.
  // Failure: kInvalidArgument (does not fit the model), kResourceExhausted (queue full, or the
  // deadline cannot be met), kDeadlineExceeded, kUnavailable (closing). `ticket` may be null.
  [[nodiscard]] virtual Status submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                                      std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                                      Ticket* ticket) = 0;

  // Runs the request on this thread where that is quicker than handing it over, or where the caller
  // waits anyway; nullopt (inputs untouched) if not. The answer is the Response.
  [[nodiscard]] virtual std::optional<Response> try_run_inline(std::span<const Tensor> inputs,
                                                               const RequestOptions& options) = 0;

  // Runs the request on every instance, on this thread, so that what is made at the first execution
  // is made, and so that its time is learned from warm ones. Counted nowhere. Begins no more than
  // one execution on each instance after `until_ns`. The first failure ends it.
  [[nodiscard]] virtual Status warm_up(std::span<const Tensor> inputs, std::uint64_t outputs_wanted,
                                       Nanoseconds until_ns) = 0;

  // Withdraws a request: true if it will end with kCancelled, false if it had ended already.
  virtual bool cancel(Ticket ticket) noexcept = 0;

  // The most rows of one execution, from now on.
  virtual void set_max_batch_rows(std::int64_t rows) noexcept = 0;

  // Whether a request waits or is executed; stale when it returns.
  [[nodiscard]] virtual bool is_busy() noexcept = 0;

  // Stops accepting, lets accepted requests run until `drain_until_ns`, ends the rest with
  // kUnavailable. Idempotent; blocks; not from a completion.
  virtual void close(Nanoseconds drain_until_ns) noexcept = 0;

  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  [[nodiscard]] virtual const ModelSpec& spec() const noexcept = 0;
  [[nodiscard]] virtual const ModelStats& stats() const noexcept = 0;
  // From now on so many instances answer, 1 to what it was loaded with room for. Blocks: for new
  // ones until they are made and warm, for the others until they have answered what they had begun.
  // Failure: kInvalidArgument (out of that range, or no instances of its own), kUnavailable
  // (closing), and why an instance cannot be made; then there are as many as could be.
  [[nodiscard]] virtual Status set_instances(std::size_t count) = 0;

  // Of itself: instances of what a composite merely shares belong to somebody else.
  [[nodiscard]] virtual std::size_t instances() const noexcept = 0;
  // Whether rows of several requests share executions.
  [[nodiscard]] virtual bool is_batching() const noexcept = 0;
  // Requests that wait (in a composite: that are in progress).
  [[nodiscard]] virtual std::size_t approx_queue_size() const noexcept = 0;
  // Of its instances, those that execute now.
  [[nodiscard]] virtual std::size_t busy_instances() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t restarts() const noexcept = 0;
  // Of its instances one that can compute nothing now: why.
  [[nodiscard]] virtual Status health() const noexcept = 0;
};

}  // namespace slipstream
