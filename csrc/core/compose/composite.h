// Composite: several served models behind one request: an ensemble (ensemble.h) or a pipeline
// (pipeline.h). Composition is a continuation over member completions: whichever thread ends a
// member's request takes the parent one step further, so no worker ever waits for another.
//
//  - Every accepted parent gets exactly one completion, as with ServedModel.
//  - Members inherit the parent's absolute deadline, its priority and its row limit.
//  - The first member that fails ends the parent at once, with the member's name in the message,
//    and the other members are cancelled. What they still answer is absorbed.
//  - Cancelling the parent cancels its members.
//
// Threads: any. Ownership: shares in its members; each parent in flight holds a slot of the request
// pool per member that works for it, which is what bounds them. The destructor waits until every
// member has answered, so a composite must not be destroyed on a completion's thread.
// Failure: a Status; nothing throws.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/compose/plan.h"
#include "core/served_model.h"
#include "core/stats/histogram.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream {

struct CompositeMember {
  std::shared_ptr<ServedModel> model;
  // As in RequestOptions: which of the model's outputs the composite looks at.
  std::uint64_t outputs_wanted = ~std::uint64_t{0};
};

struct CompositeStats {
  RelaxedCounter succeeded;
  RelaxedCounter failed;    // also expired and cancelled ones
  RelaxedCounter rejected;  // refused at admission
  Histogram total;          // from admission to the parent's completion
};

// Names a parent request for cancellation. Stays valid, and harmless, after the request and even
// after the composite ended. Copies name the same request.
class CompositeTicket {
 public:
  CompositeTicket() noexcept = default;

 private:
  friend class Composite;
  std::weak_ptr<CompositeRun> run_;
};

class Composite {
 public:
  // Use make_ensemble and make_pipeline. At least one member, none of them null.
  Composite(std::string name, std::vector<CompositeMember> members,
            std::unique_ptr<const Plan> plan);
  ~Composite();
  Composite(const Composite&) = delete;
  Composite& operator=(const Composite&) = delete;

  // As ServedModel::submit: on success `sink` gets exactly one completion with `tag`, possibly
  // before this returns; on failure none. A refusal by a member is the parent's, if no other member
  // has ended it by then. options.outputs_wanted does not matter: each member has its own.
  [[nodiscard]] Status submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                              std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                              CompositeTicket* ticket) noexcept;

  // Withdraws a parent: true if it ends with kCancelled, false if it had ended already.
  bool cancel(const CompositeTicket& ticket) noexcept;

  // Stops accepting, waits for parents in flight until `drain_until_ns`, ends the rest with
  // kUnavailable, and waits until their members have answered. Idempotent; not from a completion.
  void close(Nanoseconds drain_until_ns) noexcept;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<CompositeMember>& members() const noexcept { return members_; }
  [[nodiscard]] const Plan& plan() const noexcept { return *plan_; }
  [[nodiscard]] const CompositeStats& stats() const noexcept { return stats_; }

 private:
  friend class CompositeRun;

  [[nodiscard]] Status closed_status() const noexcept;
  Status admit(std::vector<Tensor>&& inputs, const RequestOptions& options,
               std::shared_ptr<CompletionSink> sink, std::uint64_t tag, CompositeTicket* ticket);
  // False when the composite is closing.
  bool enter(CompositeRun& run) noexcept;
  // The run's last act; nothing of the composite may be touched after it.
  void leave(CompositeRun& run) noexcept;
  // The run listed behind `run` (the first one for null), kept from leaving; null at the end.
  std::shared_ptr<CompositeRun> run_after(const CompositeRun* run) noexcept;

  const std::string name_;
  const std::vector<CompositeMember> members_;
  const std::unique_ptr<const Plan> plan_;
  CompositeStats stats_;
  std::mutex mutex_;
  std::condition_variable all_left_;
  CompositeRun* first_run_ = nullptr;  // guarded by mutex_, as the runs' links are
  bool closing_ = false;               // guarded by mutex_
};

}  // namespace slipstream
