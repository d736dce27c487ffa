// WorkerLink: a running worker and our side of the conversation with it (protocol.h).
//
// One thread at a time. A link that is_broken() is of no use any more (its worker died, or hung or
// broke the protocol and was killed) and can only be destroyed. Destroying a sound link asks the
// worker to end by closing the socket, and kills it after a grace period.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/process/child_process.h"
#include "backends/process/options.h"
#include "backends/process/protocol.h"
#include "backends/process/segment.h"
#include "backends/process/unique_fd.h"
#include "core/backend.h"
#include "core/status.h"

namespace slipstream::process {

class WorkerLink {
 public:
  // Starts a worker and waits until it has loaded the model. A failure carries the worker's own
  // reason, or how it ended. `launch` must outlive the link.
  [[nodiscard]] static Result<std::unique_ptr<WorkerLink>> start(const Launch& launch);

  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;
  ~WorkerLink();

  // What the worker declared when it was ready.
  [[nodiscard]] const ModelSpec& spec() const noexcept { return spec_; }

  // Runs one execution. kUnavailable when the worker died or hung, which breaks the link; errors
  // that the model raised do not.
  [[nodiscard]] Status call(const Execution& execution, std::vector<Tensor>& outputs);

  // Kills the worker: a call() in progress ends. From any thread, beside anything but the
  // destructor.
  void stop() const noexcept { process_.signal_kill(); }

  [[nodiscard]] bool is_broken() const noexcept { return state_ != State::kIdle; }
  // Whether the worker has died while nobody was talking to it; breaks the link if so.
  [[nodiscard]] bool has_died() noexcept;

 private:
  // kBusy: between a question and its answer. An exception that leaves it so has broken the link.
  enum class State { kIdle, kBusy, kBroken };

  WorkerLink(const Launch& launch, ChildProcess process, UniqueFd socket, UniqueFd lifeline,
             Segment request, Segment response) noexcept;

  [[nodiscard]] Status handshake();
  [[nodiscard]] Status read_answer(const Record& record, const Execution& execution,
                                   std::vector<Tensor>& outputs);
  [[nodiscard]] Result<std::span<const std::byte>> body(const Record& record);
  [[nodiscard]] Status reported_failure(const Record& record);

  // One packet each way. Anything but kOk has broken the link. `doing` ends the sentence "the
  // worker process of model X died ...".
  [[nodiscard]] Status send(const Record& record, const char* doing);
  [[nodiscard]] Status receive(Record& record, std::chrono::milliseconds timeout,
                               const char* doing);

  // Break the link, killing the worker if it still runs, and say why.
  [[nodiscard]] Status died(const char* doing);
  [[nodiscard]] Status hung(const char* doing, std::chrono::milliseconds timeout);
  [[nodiscard]] Status misbehaved(const std::string& how);

  const Launch& launch_;
  ChildProcess process_;
  UniqueFd socket_;
  UniqueFd lifeline_;  // the worker dies when this closes; see the worker's __main__.py
  Segment request_;
  Segment response_;
  ModelSpec spec_;
  std::uint64_t sequence_ = 0;
  State state_ = State::kBusy;
};

}  // namespace slipstream::process
