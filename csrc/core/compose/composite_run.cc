#include "core/compose/composite_run.h"

#include <exception>
#include <new>
#include <string>
#include <utility>

namespace slipstream {
namespace {

// Runs a step of the plan, which may call functions of the caller's; what they throw becomes a
// Status.
template <class Step>
Status run_step(Step step) noexcept {
  try {
    try {
      return step();
    } catch (const std::bad_alloc&) {
      return resource_exhausted("out of memory while composing an answer");
    } catch (const std::exception& error) {
      return internal_error(std::string("composing the answer failed: ") + error.what());
    } catch (...) {
      return internal_error("composing the answer failed: a function threw no std::exception");
    }
  } catch (...) {  // not even memory for the message
    return {StatusCode::kResourceExhausted, {}};
  }
}

}  // namespace

CompositeRun::CompositeRun(Composite& composite, const RequestOptions& options,
                           std::shared_ptr<CompletionSink> sink, std::uint64_t tag, Ticket ticket)
    : composite_(composite),
      options_(options),
      accepted_ns_(now_ns()),
      sink_(std::move(sink)),
      tag_(tag),
      ticket_(ticket),
      unanswered_(composite.plan().awaited(composite.members().size())),
      answers_(composite.members().size()),
      tickets_(composite.members().size()) {}

CompositeRun::~CompositeRun() {
  answers_.clear();  // before the composite, and perhaps what it uses, may go
  composite_.leave(*this);
}

Status CompositeRun::begin(std::vector<Tensor>&& inputs) noexcept {
  rows_ = inputs.empty() ? 0 : inputs.front().rows();
  Status status = run_step([&] { return composite_.plan().begin(*this, std::move(inputs)); });
  // A member that was submitted before the refused one may have ended the parent meanwhile.
  if (status.is_ok() || !claim()) return Status::ok();
  sink_.reset();
  cancel_members();
  return status;
}

Status CompositeRun::submit(std::size_t member, std::vector<Tensor>&& inputs) {
  const CompositeMember& target = composite_.members()[member];
  RequestOptions options = options_;
  options.outputs_wanted = target.outputs_wanted;
  Ticket ticket;
  const Status status =
      target.model->submit(std::move(inputs), options, shared_from_this(), member, &ticket);
  if (!status.is_ok()) return blame(member, status);
  {
    const std::scoped_lock lock(tickets_mutex_);
    tickets_[member] = ticket;
  }
  // Whoever ended the parent set ended_ before it read the tickets, and may have read too early.
  if (has_ended()) (void)target.model->cancel(ticket);
  return Status::ok();
}

bool CompositeRun::keep(std::size_t member, std::vector<Tensor>&& outputs) noexcept {
  answers_[member] = std::move(outputs);
  // acq_rel: the last one sees what the others wrote before their decrements.
  return unanswered_.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

// Always false: the parent's own sink is flushed in answer().
bool CompositeRun::complete(std::uint64_t member, Response&& response) noexcept {
  if (has_ended()) return false;
  const auto index = static_cast<std::size_t>(member);
  if (!response.status.is_ok()) {
    (void)fail(blame(index, response.status));
    return false;
  }
  execute_ns_.fetch_add(response.execute_ns);
  batch_rows_.store(response.batch_rows);
  if (response.is_shared) is_shared_.store(true);
  Status status = run_step(
      [&] { return composite_.plan().advance(*this, index, std::move(response.outputs)); });
  if (!status.is_ok()) (void)fail(std::move(status));
  return false;
}

void CompositeRun::succeed(std::vector<Tensor>&& outputs) noexcept {
  if (claim()) answer(Status::ok(), std::move(outputs));
}

bool CompositeRun::fail(Status status) noexcept {
  if (!claim()) return false;
  cancel_members();  // first: once the parent has its answer, no queued member runs for it any more
  answer(std::move(status), {});
  return true;
}

void CompositeRun::answer(Status status, std::vector<Tensor>&& outputs) noexcept {
  const Nanoseconds total_ns = now_ns() - accepted_ns_;
  count(status, total_ns);
  const std::shared_ptr<CompletionSink> sink = std::move(sink_);
  Response response{.status = std::move(status),
                    .outputs = std::move(outputs),
                    .total_ns = total_ns,
                    .execute_ns = execute_ns_.load(),
                    .batch_rows = batch_rows_.load(),
                    .is_shared = is_shared_.load()};
  if (sink->complete(tag_, std::move(response))) sink->flush();
}

void CompositeRun::count(const Status& status, Nanoseconds total_ns) noexcept {
  ModelStats& stats = composite_.stats_;
  stats.last_used_ns.set(now_ns());
  if (status.code() == StatusCode::kCancelled || status.code() == StatusCode::kDeadlineExceeded) {
    return stats.abandoned.add(1);
  }
  (status.is_ok() ? stats.succeeded : stats.failed).add(1);
  stats.stages.total.record(total_ns);
  if (!status.is_ok()) return;
  stats.rows.add(static_cast<std::uint64_t>(rows_));
  stats.executions.record(rows_);
  stats.execute_ns_sum.add(static_cast<std::uint64_t>(execute_ns_.load()));
  stats.last_execute_ns.set(execute_ns_.load());
  stats.stages.execute.record(execute_ns_.load());
}

void CompositeRun::cancel_members() noexcept {
  for (std::size_t member = 0; member < tickets_.size(); ++member) {
    Ticket ticket;
    {
      const std::scoped_lock lock(tickets_mutex_);
      ticket = tickets_[member];
    }
    // Without the lock: a cancelled member completes on this thread, into complete() above.
    if (ticket.generation != 0) (void)composite_.members()[member].model->cancel(ticket);
  }
}

Status CompositeRun::blame(std::size_t member, const Status& status) const noexcept {
  try {
    return {status.code(), std::string(composite_.plan().kind()) + " '" + composite_.name() +
                               "', member '" + composite_.members()[member].model->name() +
                               "': " + status.message()};
  } catch (const std::bad_alloc&) {
    return {status.code(), {}};
  }
}

}  // namespace slipstream
