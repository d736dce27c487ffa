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
// Threads: any. Ownership: shares in its members, and closes those that are its own; each parent in
// flight holds a slot of the request
// pool per member that works for it, which is what bounds them. The destructor waits until every
// member has answered, so a composite must not be destroyed on a completion's thread.
// Failure: a Status; nothing throws.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/compose/plan.h"
#include "core/servable.h"
#include "core/served_model.h"

namespace slipstream {

struct CompositeMember {
  std::shared_ptr<ServedModel> model;
  // As in RequestOptions: which of the model's outputs the composite looks at.
  std::uint64_t outputs_wanted = ~std::uint64_t{0};
  // Nobody else uses it: it is closed with the composite, and its instances are the composite's.
  bool is_owned = false;
};

class Composite final : public Servable {
 public:
  // Use make_ensemble, make_stack and make_pipeline. At least one member, none of them null. `spec`
  // is what the parent takes and answers.
  Composite(std::string name, ModelSpec spec, std::vector<CompositeMember> members,
            std::unique_ptr<const Plan> plan);
  ~Composite() override;

  // A refusal by a member is the parent's, if no other member has ended it by then.
  // options.outputs_wanted does not matter: each member has its own.
  [[nodiscard]] Status submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                              std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                              Ticket* ticket) noexcept override;

  // Never: members run side by side on their own workers.
  [[nodiscard]] std::optional<Response> try_run_inline(std::span<const Tensor> /*inputs*/,
                                                       const RequestOptions& /*options*/) override {
    return std::nullopt;
  }

  // Nothing: members are warmed up by themselves, with rows of their own.
  [[nodiscard]] Status warm_up(std::span<const Tensor> /*inputs*/, std::uint64_t /*outputs_wanted*/,
                               Nanoseconds /*until_ns*/) override {
    return {};
  }

  // Of its own members.
  void set_max_batch_rows(std::int64_t rows) noexcept override;
  [[nodiscard]] Status set_instances(std::size_t count) override;

  [[nodiscard]] bool is_busy() noexcept override { return approx_queue_size() > 0; }

  // Tickets of other composites are refused like stale ones.
  bool cancel(Ticket ticket) noexcept override;

  // Waits until the members of every parent have answered, and closes those that are its own.
  void close(Nanoseconds drain_until_ns) noexcept override;

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  // Of parents: an execution is all that one's members did, its time the sum of theirs.
  [[nodiscard]] const ModelStats& stats() const noexcept override { return stats_; }
  [[nodiscard]] std::size_t instances() const noexcept override;
  [[nodiscard]] bool is_batching() const noexcept override;
  [[nodiscard]] std::size_t approx_queue_size() const noexcept override;
  [[nodiscard]] std::size_t busy_instances() const noexcept override;
  [[nodiscard]] std::uint64_t restarts() const noexcept override;
  [[nodiscard]] Status health() const noexcept override;
  [[nodiscard]] const std::vector<CompositeMember>& members() const noexcept { return members_; }
  [[nodiscard]] const Plan& plan() const noexcept { return *plan_; }

 private:
  friend class CompositeRun;

  // Runs in flight, by the last bits of their serial numbers: few a bucket, whatever is held.
  static constexpr std::size_t kBuckets = 64;

  [[nodiscard]] static std::size_t bucket_of(Ticket ticket) noexcept {
    return ticket.index % kBuckets;
  }
  [[nodiscard]] Status closed_status() const noexcept;
  Status admit(std::vector<Tensor>&& inputs, const RequestOptions& options,
               std::shared_ptr<CompletionSink> sink, std::uint64_t tag, Ticket* ticket);
  // False when the composite is closing.
  bool enter(CompositeRun& run) noexcept;
  // The run's last act; nothing of the composite may be touched after it.
  void leave(CompositeRun& run) noexcept;
  // The run listed behind `run` (the first one for null), kept from leaving; null at the end.
  std::shared_ptr<CompositeRun> run_after(const CompositeRun* run) noexcept;
  void end_runs(Nanoseconds drain_until_ns) noexcept;

  const std::string name_;
  const ModelSpec spec_;
  const std::vector<CompositeMember> members_;
  const std::unique_ptr<const Plan> plan_;
  ModelStats stats_;
  mutable std::mutex mutex_;
  std::condition_variable all_left_;
  std::array<CompositeRun*, kBuckets> runs_{};  // guarded by mutex_, as the runs' links are
  std::size_t run_count_ = 0;                   // guarded by mutex_
  bool closing_ = false;                        // guarded by mutex_
};

}  // namespace slipstream
