#include "core/compose/composite.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <utility>

#include "core/compose/composite_run.h"

namespace slipstream {
namespace {

// Serial numbers of runs, over all composites of the process. From 2^32 on, so that no ticket has
// generation 0, which means no request.
std::atomic<std::uint64_t> next_serial{std::uint64_t{1} << 32};

}  // namespace

Composite::Composite(std::string name, ModelSpec spec, std::vector<CompositeMember> members,
                     std::unique_ptr<const Plan> plan)
    : name_(std::move(name)),
      spec_(std::move(spec)),
      members_(std::move(members)),
      plan_(std::move(plan)) {}

Composite::~Composite() {
  Composite::close(0);
}

std::size_t Composite::instances() const noexcept {
  std::size_t sum = 0;
  for (const CompositeMember& member : members_) {
    if (member.is_owned) sum += member.model->instances();
  }
  return sum;
}

std::size_t Composite::busy_instances() const noexcept {
  std::size_t sum = 0;
  for (const CompositeMember& member : members_) {
    if (member.is_owned) sum += member.model->busy_instances();
  }
  return sum;
}

Status Composite::set_instances(std::size_t /*count*/) {
  return invalid_argument("'" + name_ + "' is made of other models, whose instances answer for it");
}

void Composite::set_max_batch_rows(std::int64_t rows) noexcept {
  for (const CompositeMember& member : members_) {
    if (member.is_owned) member.model->set_max_batch_rows(rows);
  }
}

bool Composite::is_batching() const noexcept {
  return std::ranges::all_of(
      members_, [](const CompositeMember& member) { return member.model->is_batching(); });
}

std::size_t Composite::approx_queue_size() const noexcept {
  const std::scoped_lock lock(mutex_);
  return run_count_;
}

std::uint64_t Composite::restarts() const noexcept {
  std::uint64_t sum = 0;
  for (const CompositeMember& member : members_) {
    if (member.is_owned) sum += member.model->restarts();
  }
  return sum;
}

Status Composite::health() const noexcept {
  for (const CompositeMember& member : members_) {
    if (!member.is_owned) continue;
    if (Status status = member.model->health(); !status.is_ok()) return status;
  }
  return Status::ok();
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
                         Ticket* ticket) noexcept {
  try {
    Status status = admit(std::move(inputs), options, std::move(sink), tag, ticket);
    if (!status.is_ok()) stats_.rejected.add(1);
    return status;
  } catch (const std::bad_alloc&) {
    return {StatusCode::kResourceExhausted, {}};
  }
}

Status Composite::admit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                        std::shared_ptr<CompletionSink> sink, std::uint64_t tag, Ticket* ticket) {
  const Ticket issued = Ticket::unpack(next_serial.fetch_add(1));
  const auto run = std::make_shared<CompositeRun>(*this, options, std::move(sink), tag, issued);
  if (!enter(*run)) return closed_status();
  if (ticket != nullptr) *ticket = issued;
  return run->begin(std::move(inputs));
}

bool Composite::cancel(Ticket ticket) noexcept {
  std::shared_ptr<CompositeRun> found;
  {
    const std::scoped_lock lock(mutex_);
    CompositeRun* run = runs_[bucket_of(ticket)];
    while (run != nullptr && run->ticket_.packed() != ticket.packed()) run = run->next_;
    if (run != nullptr) found = run->weak_from_this().lock();
  }
  if (found == nullptr) return false;
  return found->fail({StatusCode::kCancelled, "the request was cancelled by its caller"});
}

bool Composite::enter(CompositeRun& run) noexcept {
  const std::scoped_lock lock(mutex_);
  if (closing_) return false;
  CompositeRun*& first = runs_[bucket_of(run.ticket_)];
  run.next_ = first;
  if (first != nullptr) first->previous_ = &run;
  first = &run;
  run.is_listed_ = true;
  ++run_count_;
  return true;
}

void Composite::leave(CompositeRun& run) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!run.is_listed_) return;
  (run.previous_ != nullptr ? run.previous_->next_ : runs_[bucket_of(run.ticket_)]) = run.next_;
  if (run.next_ != nullptr) run.next_->previous_ = run.previous_;
  // Under the lock: once it is released the composite may be gone.
  if (--run_count_ == 0) all_left_.notify_all();
}

std::shared_ptr<CompositeRun> Composite::run_after(const CompositeRun* run) noexcept {
  const std::scoped_lock lock(mutex_);
  std::size_t bucket = run == nullptr ? 0 : bucket_of(run->ticket_);
  CompositeRun* next = run == nullptr ? runs_[0] : run->next_;
  for (;;) {
    for (; next != nullptr; next = next->next_) {
      // Null: its last reference has just gone, and it waits for mutex_ in leave().
      if (std::shared_ptr<CompositeRun> shared = next->weak_from_this().lock()) return shared;
    }
    if (++bucket == kBuckets) return nullptr;
    next = runs_[bucket];
  }
}

void Composite::close(Nanoseconds drain_until_ns) noexcept {
  end_runs(drain_until_ns);
  for (const CompositeMember& member : members_) {
    if (member.is_owned) member.model->close(0);  // nothing of it is in flight any more
  }
}

void Composite::end_runs(Nanoseconds drain_until_ns) noexcept {
  const std::chrono::steady_clock::time_point drain_until{std::chrono::nanoseconds(drain_until_ns)};
  const auto is_empty = [this] { return run_count_ == 0; };
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
