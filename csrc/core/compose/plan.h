// Plan: what a composite does with its members, as two steps of a continuation.
//
// A plan is immutable and shared by all of its composite's runs; what belongs to one request lives
// in the CompositeRun that is passed in. Neither function waits for anything.
// Threads: `begin` runs on the submitter's thread, `advance` on whichever ended a member's request;
// several may run at once, also for one run. Failure: a Status, or an exception, which the run
// translates; both end the parent.
#pragma once

#include <cstddef>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace slipstream {

class CompositeRun;

class Plan {
 public:
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  virtual ~Plan() = default;

  // "ensemble" or "pipeline", for messages.
  [[nodiscard]] virtual const char* kind() const noexcept = 0;

  // How many of so many members' answers CompositeRun::keep gathers.
  [[nodiscard]] virtual std::size_t awaited(std::size_t members) const noexcept { return members; }

  // Submits to the first members. Failure: the parent's refusal.
  [[nodiscard]] virtual Status begin(CompositeRun& run, std::vector<Tensor>&& inputs) const = 0;

  // Member number `member` has answered with `outputs`. Submits to the next ones or ends the run.
  [[nodiscard]] virtual Status advance(CompositeRun& run, std::size_t member,
                                       std::vector<Tensor>&& outputs) const = 0;
};

}  // namespace slipstream
