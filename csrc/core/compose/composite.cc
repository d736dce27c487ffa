#include "core/compose/composite.h"

#include <chrono>
#include <new>
#include <utility>

#include "core/compose/composite_run.h"

namespace slipstream {

Composite::Composite(std::string name, std::vector<CompositeMember> members,
                     std::unique_ptr<const Plan> plan)
    : name_(std::move(name)), members_(std::move(members)), plan_(std::move(plan)) {}

Composite::~Composite() {
  close(0);
}

Status Composite::closed_status() const noexcept {
  try {
    return unavailable(std::string(plan_->kind()) + " '" + name_ +
                       "' is being unloaded; load it again or use another");
  } catch (const std::bad_alloc&) {
    return {StatusCode::kUnavailable, {}};
  }
}

Status Composite::submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                         std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                         CompositeTicket* ticket) noexcept {
  try {
    Status status = admit(std::move(inputs), options, std::move(sink), tag, ticket);
    if (!status.is_ok()) stats_.rejected.add(1);
    return status;
  } catch (const std::bad_alloc&) {
    return {StatusCode::kResourceExhausted, {}};
  }
}

Status Composite::admit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                        std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                        CompositeTicket* ticket) {
  const auto run = std::make_shared<CompositeRun>(*this, options, std::move(sink), tag);
  if (!enter(*run)) return closed_status();
  if (ticket != nullptr) ticket->run_ = run;
  return run->begin(std::move(inputs));
}

bool Composite::cancel(const CompositeTicket& ticket) noexcept {
  const std::shared_ptr<CompositeRun> run = ticket.run_.lock();
  if (run == nullptr || &run->composite_ != this) return false;
  return run->fail({StatusCode::kCancelled, "the request was cancelled by its caller"});
}

bool Composite::enter(CompositeRun& run) noexcept {
  const std::scoped_lock lock(mutex_);
  if (closing_) return false;
  run.next_ = first_run_;
  if (first_run_ != nullptr) first_run_->previous_ = &run;
  first_run_ = &run;
  run.is_listed_ = true;
  return true;
}

void Composite::leave(CompositeRun& run) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!run.is_listed_) return;
  (run.previous_ != nullptr ? run.previous_->next_ : first_run_) = run.next_;
  if (run.next_ != nullptr) run.next_->previous_ = run.previous_;
  // Under the lock: once it is released the composite may be gone.
  if (first_run_ == nullptr) all_left_.notify_all();
}

std::shared_ptr<CompositeRun> Composite::run_after(const CompositeRun* run) noexcept {
  const std::scoped_lock lock(mutex_);
  for (CompositeRun* next = run == nullptr ? first_run_ : run->next_; next != nullptr;
       next = next->next_) {
    // Null: its last reference has just gone, and it waits for mutex_ in leave().
    if (std::shared_ptr<CompositeRun> shared = next->weak_from_this().lock()) return shared;
  }
  return nullptr;
}

void Composite::close(Nanoseconds drain_until_ns) noexcept {
  const std::chrono::steady_clock::time_point drain_until{std::chrono::nanoseconds(drain_until_ns)};
  const auto is_empty = [this] { return first_run_ == nullptr; };
  {
    std::unique_lock lock(mutex_);
    closing_ = true;
    if (all_left_.wait_until(lock, drain_until, is_empty)) return;
  }
  std::shared_ptr<CompositeRun> run = run_after(nullptr);
  while (run != nullptr) {
    (void)run->fail(closed_status());
    run = run_after(run.get());  // the old one is let go outside of the lock
  }
  std::unique_lock lock(mutex_);
  all_left_.wait(lock, is_empty);
}

}  // namespace slipstream
