#include "core/served_model.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "core/executor.h"
#include "core/shape_key.h"
#include "core/this_thread.h"

namespace slipstream {
namespace {

// Of the requests that are refused because an execution takes longer than their timeout, one in so
// many runs.
constexpr std::uint32_t kProbeEvery = 16;

// Of the requests whose learned time is above the inline limit, but less than so many times, one in
// so many runs inline: where it was learned on workers, or at a bad moment, nothing else would
// correct it.
constexpr Nanoseconds kInlineProbeTimes = 4;
constexpr std::uint32_t kInlineProbeEvery = 256;

// Requests of warm-ups that are kept for instances that are made later.
constexpr std::size_t kMostWarmRequests = 4;

Status check_input(const TensorSpec& spec, const Tensor& input) {
  const auto dims = input.shape().dims();
  const bool fits = input.dtype() == spec.dtype && dims.size() == spec.dims.size() &&
                    std::ranges::equal(spec.dims, dims, [](std::int64_t want, std::int64_t have) {
                      return want < 0 || want == have;
                    });
  if (fits) return Status::ok();
  return invalid_argument("input '" + spec.name + "' takes " + std::string(dtype_name(spec.dtype)) +
                          " of shape " + to_string(spec.dims) + ", got " +
                          std::string(dtype_name(input.dtype())) + " of shape " + to_string(dims));
}

// "0.013" for 13 microseconds: quick models are refused for fractions of a millisecond.
std::string milliseconds_text(Nanoseconds ns) {
  std::string fraction = std::to_string(ns / 1000 % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(ns / 1'000'000) + "." + fraction;
}

std::int64_t allowed_rows(const ModelSpec& spec, std::int64_t wanted) noexcept {
  const std::int64_t rows = std::max<std::int64_t>(wanted, 1);
  return spec.max_rows > 0 ? std::min(rows, spec.max_rows) : rows;
}

Status closed_status(const std::string& name) {
  return unavailable("model '" + name + "' is being unloaded; load it again or use another");
}

}  // namespace

// Lets close() wait until every submitter that saw the model open has pushed its request.
class ServedModel::AdmissionGuard {
 public:
  explicit AdmissionGuard(ServedModel& model) noexcept : model_(model) {
    model_.admitting_.fetch_add(1);  // seq_cst, before the load of closing_: see close()
  }
  ~AdmissionGuard() { model_.admitting_.fetch_sub(1); }
  AdmissionGuard(const AdmissionGuard&) = delete;
  AdmissionGuard& operator=(const AdmissionGuard&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return !model_.closing_.load(); }

 private:
  ServedModel& model_;
};

Result<std::shared_ptr<ServedModel>> ServedModel::create(RequestPool& pool, DeadlineTimer& timer,
                                                         std::unique_ptr<Model> model,
                                                         ServeOptions options) {
  options.batcher.batchable = options.batcher.batchable && model->spec().batchable;
  options.batcher.max_batch_rows = allowed_rows(model->spec(), options.batcher.max_batch_rows);
  options.instances = std::max<std::size_t>(options.instances, 1);
  options.batcher.instances = static_cast<std::int64_t>(options.instances);
  std::shared_ptr<ServedModel> served(
      new ServedModel(pool, timer, std::move(model), std::move(options)));
  const std::size_t count = served->options_.instances;
  const std::size_t room = std::max(count, served->options_.max_instances);
  for (std::size_t i = 0; i < room; ++i) {
    served->slots_.push_back(std::make_unique<InstanceSlot>(served->work_, served->full_));
  }
  const std::scoped_lock lock(served->close_mutex_);
  for (std::size_t i = 0; i < count; ++i) {
    if (Status status = served->start_instance(i); !status.is_ok()) return status;
  }
  return served;
}

ServedModel::ServedModel(RequestPool& pool, DeadlineTimer& timer, std::unique_ptr<Model> model,
                         ServeOptions options)
    : pool_(pool),
      timer_(timer),
      options_(std::move(options)),
      model_(std::move(model)),
      batcher_(pool, options_.batcher, latency_, stats_.abandoned) {}

ServedModel::~ServedModel() {
  ServedModel::close(0);
}

Status ServedModel::validate(std::span<const Tensor> inputs) const {
  const ModelSpec& spec = model_->spec();
  if (inputs.size() != spec.inputs.size()) {
    return invalid_argument("the model takes " + std::to_string(spec.inputs.size()) +
                            " inputs, got " + std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (Status status = check_input(spec.inputs[i], inputs[i]); !status.is_ok()) return status;
  }
  if (!spec.batchable) return Status::ok();
  const std::int64_t rows = inputs.empty() ? 0 : inputs.front().rows();
  if (rows == 0) return invalid_argument("the request has no rows; send at least one");
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i].rows() != rows) {
      return invalid_argument("input '" + spec.inputs[i].name + "' has " +
                              std::to_string(inputs[i].rows()) + " rows where '" +
                              spec.inputs.front().name + "' has " + std::to_string(rows));
    }
  }
  return Status::ok();
}

Status ServedModel::check_deadline(const RequestOptions& options, std::uint64_t shape_key,
                                   std::int64_t rows, std::optional<AdmissionQuestion>& judged) {
  if (options.deadline_ns == kNoDeadline) return Status::ok();
  const Nanoseconds now = now_ns();
  if (options.deadline_ns <= now) {
    return {StatusCode::kDeadlineExceeded,
            "the request's deadline had passed when it arrived; raise its timeout"};
  }
  const AdmissionQuestion question = batcher_.admission_question(options, rows, shape_key, now);
  judged = question;
  if (can_meet_deadline(question)) return Status::ok();
  // Too slow even alone. On a model that is never idle, nothing of that size would ever run again
  // to show that one slow execution was an accident, if all such requests were refused: some do
  // run.
  const bool is_too_slow = !can_start_now(
      options.deadline_ns, now, question.curve->mean_ns(std::min(rows, question.row_limit)));
  if (is_too_slow && too_slow_.fetch_add(1) % kProbeEvery == kProbeEvery - 1) return Status::ok();
  return resource_exhausted("model '" + options_.name + "' needs about " +
                            milliseconds_text(expected_latency_ns(question)) +
                            " ms for this request, more than its timeout allows; retry later or "
                            "raise the timeout");
}

Status ServedModel::submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                           std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                           Ticket* ticket) {
  if (!is_valid_priority(options.priority)) {
    return invalid_argument("priority " + std::to_string(options.priority) + " is not in -1..10");
  }
  if (Status status = validate(inputs); !status.is_ok()) return status;
  const std::int64_t rows = model_->spec().batchable ? inputs.front().rows() : 1;
  const std::uint64_t shape_key = shape_key_of(inputs);
  std::optional<AdmissionQuestion> judged;
  Status status = check_deadline(options, shape_key, rows, judged);
  if (status.is_ok()) {
    status =
        enqueue(std::move(inputs), options, rows, shape_key, judged, std::move(sink), tag, ticket);
  }
  if (!status.is_ok()) stats_.rejected.add(1);
  return status;
}

Status ServedModel::enqueue(std::vector<Tensor>&& inputs, const RequestOptions& options,
                            std::int64_t rows, std::uint64_t shape_key,
                            const std::optional<AdmissionQuestion>& judged,
                            std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                            Ticket* ticket) {
  const AdmissionGuard guard(*this);
  if (!guard.is_open()) return closed_status(options_.name);
  std::unique_ptr<SplitParts> split;
  if (batcher_.is_batching() && rows > batcher_.row_limit(options)) {
    split = std::make_unique<SplitParts>();
  }
  Request* const request = pool_.acquire();
  if (request == nullptr) {
    return resource_exhausted("the engine holds its maximum of " +
                              std::to_string(pool_.capacity()) + " requests; retry later");
  }
  request->inputs = std::move(inputs);
  request->options = options;
  request->sink = std::move(sink);
  request->tag = tag;
  request->rows = rows;
  request->shape_key = shape_key;
  request->accepted_ns = now_ns();
  request->expected_wait_ns = 0;
  if (judged) Batcher::note_expectation(*request, *judged);
  request->split = std::move(split);
  const Ticket opened = pool_.open(*request);
  if (ticket != nullptr) *ticket = opened;
  request->deadline_ns.store(options.deadline_ns);  // seq_cst and last: see deadline_timer.h
  timer_.note(options.deadline_ns);
  if (!batcher_.try_push(*request)) {
    // The deadline timer may have answered it between the two lines above: then it was accepted.
    const bool unanswered = request->lifecycle.claim();
    pool_.release(*request);
    if (!unanswered) return Status::ok();
    return resource_exhausted("the queue of model '" + options_.name + "' is full (" +
                              std::to_string(options_.batcher.queue_capacity) +
                              " requests at this priority); retry later");
  }
  notify_of_work();
  return Status::ok();
}

void ServedModel::notify_of_work() noexcept {
  work_.notify_one();
  if (is_pipelined_.value() && batcher_.approx_fills_batch()) {
    full_.notify_one();
  }
}

std::optional<Response> ServedModel::try_run_inline(std::span<const Tensor> inputs,
                                                    const RequestOptions& options) {
  if (options_.inline_limit_ns == 0 || !model_->may_run_inline()) return std::nullopt;
  const bool is_late = options.deadline_ns != kNoDeadline && options.deadline_ns <= now_ns();
  if (!is_valid_priority(options.priority) || is_late || !validate(inputs).is_ok()) {
    return std::nullopt;
  }
  const std::int64_t rows = model_->spec().batchable ? inputs.front().rows() : 1;
  if (batcher_.is_batching() && rows > batcher_.row_limit(options)) return std::nullopt;
  const std::uint64_t shape_key = shape_key_of(inputs);
  const Nanoseconds expected_ns = inline_ns(options, shape_key, rows);
  if (expected_ns == 0) return std::nullopt;
  const Loan loan = borrow_instance();
  if (loan.slot == nullptr) return std::nullopt;
  ExecutionContext context{model_->spec(), pool_, batcher_, latency_, stats_, options_.memory};
  loan.slot->is_busy.set(true);
  // Admission counts on it where it is long enough to matter.
  if (options.caller_waits) batcher_.note_execution(now_ns(), expected_ns);
  Response response =
      run_once(context, *loan.slot->instance, inputs, options.outputs_wanted, shape_key, rows);
  loan.slot->is_busy.set(false);
  stats_.inline_executions.add(1);
  stats_.stages.total.record(response.total_ns);
  if (response.status.is_ok()) {
    stats_.succeeded.add(1);
    stats_.rows.add(static_cast<std::uint64_t>(rows));
  } else {
    stats_.failed.add(1);
  }
  return response;
}

Nanoseconds ServedModel::inline_ns(const RequestOptions& options, std::uint64_t shape_key,
                                   std::int64_t rows) noexcept {
  const LatencyCurve& curve = latency_.curve(shape_key);
  const Nanoseconds expected_ns = curve.inline_ns(rows);
  if (expected_ns <= options_.inline_limit_ns) return expected_ns;
  // Who has a deadline must be answered by then, whatever the execution does.
  if (options.caller_waits && options.deadline_ns == kNoDeadline) {
    const bool is_long = curve.tail_of(expected_ns) > options_.waiting_limit_ns;
    return is_long || batcher_.is_crowded(now_ns()) ? 0 : expected_ns;
  }
  if (expected_ns > kInlineProbeTimes * options_.inline_limit_ns) return 0;
  const bool is_probe = slow_inline_.fetch_add(1) % kInlineProbeEvery == kInlineProbeEvery - 1;
  return is_probe ? expected_ns : 0;
}

ServedModel::Loan ServedModel::borrow_instance() noexcept {
  const AdmissionGuard guard(*this);  // until it is lent: close() spins while it is held
  if (!guard.is_open() || !batcher_.approx_empty()) return {};
  for (const auto& slot : slots_) {
    std::unique_lock lock(slot->in_use, std::try_to_lock);
    if (lock.owns_lock() && slot->instance) return {slot.get(), std::move(lock)};
  }
  return {};
}

Status ServedModel::warm_up(std::span<const Tensor> inputs, std::uint64_t outputs_wanted,
                            Nanoseconds until_ns) {
  if (Status status = validate(inputs); !status.is_ok()) return status;
  const std::scoped_lock changing(close_mutex_);
  const WarmRequest request{{inputs.begin(), inputs.end()}, outputs_wanted};
  for (const auto& slot : slots_) {
    Status status;
    {
      const WantedScope wanted(*slot, work_);
      const std::scoped_lock lock(slot->in_use);
      if (slot->instance) status = warm_up_instance(*slot->instance, request, until_ns);
    }
    if (!status.is_ok()) return status;
  }
  if (warm_requests_.size() < kMostWarmRequests) warm_requests_.push_back(request);
  return Status::ok();
}

void ServedModel::set_max_batch_rows(std::int64_t rows) noexcept {
  batcher_.set_max_batch_rows(allowed_rows(model_->spec(), rows));
}

bool ServedModel::is_busy() noexcept {
  if (!batcher_.approx_empty()) return true;
  return std::ranges::any_of(slots_, [](const auto& slot) {
    const std::unique_lock lock(slot->in_use, std::try_to_lock);
    return !lock.owns_lock();
  });
}

bool ServedModel::cancel(Ticket ticket) noexcept {
  return pool_.complete_early(ticket,
                              {StatusCode::kCancelled, "the request was cancelled by its caller"});
}

void ServedModel::close(Nanoseconds drain_until_ns) noexcept {
  const std::scoped_lock lock(close_mutex_);
  closing_.store(true);
  // After this loop no submitter is between its check and its push: each either saw closing_ set,
  // or raised admitting_ before we read it.
  while (admitting_.load() != 0) std::this_thread::yield();
  while (!batcher_.is_drained() && now_ns() < drain_until_ns) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  fail_queued(closed_status(options_.name));
  stopping_.store(true);
  work_.notify_all();
  while (has_workers() && now_ns() < drain_until_ns) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  while (has_workers()) {  // one that has just taken a batch is not busy yet
    for (const auto& slot : slots_) {
      if (slot->is_busy.value()) slot->instance->interrupt();  // it stays: close_mutex_ is ours
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const auto& slot : slots_) {
    if (slot->worker.joinable()) slot->worker.join();
    const std::scoped_lock until_it_is_back(slot->in_use);  // it may be lent to a caller
  }
  fail_queued(closed_status(options_.name));  // the rests of split requests that were running
}

bool ServedModel::has_workers() const noexcept {
  return std::ranges::any_of(slots_, [](const auto& slot) {
    return slot->worker.joinable() && slot->phase.load() != Phase::kLeft;
  });
}

// Ends what waits. Workers may be taking batches at the same time: each request goes to one of us.
void ServedModel::fail_queued(const Status& status) noexcept {
  Batch batch;
  while (batcher_.form(batch, now_ns())) {
    for (Request* const late : batch.late) {
      fail_unserved(*late, status);
      pool_.release(*late);
    }
    for (const BatchPart& part : batch.parts) {
      fail_unserved(*part.request, status);
      pool_.release(*part.request);
    }
  }
}

void ServedModel::fail_unserved(Request& request, const Status& status) noexcept {
  if (!request.settle()) return;  // another part has ended it
  if (!request.lifecycle.claim()) {
    stats_.abandoned.add(1);
    return;
  }
  stats_.failed.add(1);
  CompletionSink* const sink = request.sink.get();
  Response response{.status = status,
                    .outputs = {},
                    .total_ns = now_ns() - request.accepted_ns,
                    .execute_ns = 0,
                    .batch_rows = 0};
  if (sink->complete(request.tag, std::move(response))) sink->flush();
}

}  // namespace slipstream
