// CompositeRun: one parent request of a composite, and the sink of its members' completions.
//
// Members' requests share in its ownership, so it lives until the last of them was absorbed. Many
// threads may act on it at once; `ended_` decides who answers the parent: whoever sets it.
// For plans, see plan.h; everybody else uses Composite.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "core/compose/composite.h"

namespace slipstream {

class CompositeRun : public CompletionSink, public std::enable_shared_from_this<CompositeRun> {
 public:
  CompositeRun(Composite& composite, const RequestOptions& options,
               std::shared_ptr<CompletionSink> sink, std::uint64_t tag, Ticket ticket);
  ~CompositeRun() override;

  [[nodiscard]] const std::vector<CompositeMember>& members() const noexcept {
    return composite_.members();
  }
  // For plans: sends `inputs` to a member; once per member.
  [[nodiscard]] Status submit(std::size_t member, std::vector<Tensor>&& inputs);
  // For plans: keeps a member's outputs. True for the call that brought the last of those that the
  // plan awaits: it sees all of them in answers().
  [[nodiscard]] bool keep(std::size_t member, std::vector<Tensor>&& outputs) noexcept;
  // One a member; the place of one that the plan does not await is the plan's to use.
  [[nodiscard]] std::vector<std::vector<Tensor>>& answers() noexcept { return answers_; }
  // For plans: answers the parent.
  void succeed(std::vector<Tensor>&& outputs) noexcept;
  [[nodiscard]] bool has_ended() const noexcept { return ended_.load(); }

  // Runs the plan's first step. On failure the parent was refused: its sink hears nothing.
  [[nodiscard]] Status begin(std::vector<Tensor>&& inputs) noexcept;
  // A member's completion; `member` is the tag it was submitted with.
  [[nodiscard]] bool complete(std::uint64_t member, Response&& response) noexcept override;
  // Cancels the members and answers the parent with `status`. False: it was answered already.
  bool fail(Status status) noexcept;

 private:
  friend class Composite;

  // True for exactly one caller, who then answers the parent or refuses it.
  [[nodiscard]] bool claim() noexcept { return !ended_.exchange(true); }
  void answer(Status status, std::vector<Tensor>&& outputs) noexcept;
  void count(const Status& status, Nanoseconds total_ns) noexcept;
  void cancel_members() noexcept;
  // The status with the composite's and the member's names before its message.
  [[nodiscard]] Status blame(std::size_t member, const Status& status) const noexcept;

  Composite& composite_;
  const RequestOptions options_;
  const Nanoseconds accepted_ns_;
  std::shared_ptr<CompletionSink> sink_;  // for the claimer only
  const std::uint64_t tag_;
  const Ticket ticket_;
  std::int64_t rows_ = 0;  // of the parent's inputs; written by begin()
  std::atomic<bool> ended_{false};
  std::atomic<std::size_t> unanswered_;
  std::atomic<Nanoseconds> execute_ns_{0};
  std::atomic<std::int64_t> batch_rows_{0};
  std::atomic<bool> is_shared_{false};
  std::vector<std::vector<Tensor>> answers_;  // each written by its member's completion
  std::mutex tickets_mutex_;
  std::vector<Ticket> tickets_;  // guarded by tickets_mutex_
  // The composite's list of runs; guarded by its mutex.
  CompositeRun* previous_ = nullptr;
  CompositeRun* next_ = nullptr;
  bool is_listed_ = false;
};

}  // namespace slipstream
