// ServedModel: a loaded model with its queue, its instances and their workers.
//
//   submit ──► lanes ──► (idle worker forms a batch) ──► gather ──► execute ──► scatter ──► sinks
//     └── or inline, on the caller's thread, when nothing waits and the model is quick
//
// Every accepted request gets exactly one completion, also through close(). Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/backend.h"
#include "core/batch/batcher.h"
#include "core/batch/latency_model.h"
#include "core/deadline_timer.h"
#include "core/request_pool.h"
#include "core/servable.h"
#include "core/stats/model_stats.h"
#include "core/sync/event_count.h"

namespace slipstream {

struct ServeOptions {
  std::string name;  // for messages and thread names
  std::size_t instances = 1;
  std::size_t max_instances = 0;  // room for set_instances(); no less than `instances`
  BatcherConfig batcher;  // .batchable is and-ed with the model's own, .instances is the above
  // Executions learned to take less than this run on the caller's thread when the model is idle:
  // less than waking a worker costs. 0 turns the inline path off.
  Nanoseconds inline_limit_ns = 20'000;
  // The same for callers that wait (RequestOptions), whom waking a worker costs twice and gives
  // nothing: of the tail, since nothing interrupts a caller that computes (decisions/008).
  Nanoseconds waiting_limit_ns = 10'000'000;
  // Executions on a device that are learned to take less are polled for, as long as that; the end
  // of longer ones wakes their worker.
  Nanoseconds poll_limit_ns = 1'000'000;
  // The longest that a worker sleeps while something is in progress: what should wake it may be
  // lost with the device, which then shows only when it is asked.
  Nanoseconds nap_limit_ns = 1'000'000;
  // How far workers rank behind the threads that feed them (this_thread.h).
  int worker_nice = 0;
  std::pmr::memory_resource* memory = std::pmr::new_delete_resource();
};

class ServedModel final : public Servable {
 public:
  // Creates every instance before it returns. `pool` and `timer` must outlive the model.
  [[nodiscard]] static Result<std::shared_ptr<ServedModel>> create(RequestPool& pool,
                                                                   DeadlineTimer& timer,
                                                                   std::unique_ptr<Model> model,
                                                                   ServeOptions options);
  ~ServedModel() override;

  [[nodiscard]] Status submit(std::vector<Tensor>&& inputs, const RequestOptions& options,
                              std::shared_ptr<CompletionSink> sink, std::uint64_t tag,
                              Ticket* ticket) override;

  // Only if nothing is waiting, an instance is idle and the learned time is below the limit of such
  // a caller.
  [[nodiscard]] std::optional<Response> try_run_inline(std::span<const Tensor> inputs,
                                                       const RequestOptions& options) override;

  [[nodiscard]] Status warm_up(std::span<const Tensor> inputs, std::uint64_t outputs_wanted,
                               Nanoseconds until_ns) override;

  bool cancel(Ticket ticket) noexcept override;

  void set_max_batch_rows(std::int64_t rows) noexcept override;

  [[nodiscard]] Status set_instances(std::size_t count) override;

  [[nodiscard]] bool is_busy() noexcept override;

  // Joins the workers, too. Executions that go on beyond `drain_until_ns` are interrupted, where
  // their instances can be.
  void close(Nanoseconds drain_until_ns) noexcept override;

  [[nodiscard]] const std::string& name() const noexcept override { return options_.name; }
  [[nodiscard]] const ModelSpec& spec() const noexcept override { return model_->spec(); }
  [[nodiscard]] const ServeOptions& options() const noexcept { return options_; }
  [[nodiscard]] const ModelStats& stats() const noexcept override { return stats_; }
  [[nodiscard]] std::size_t instances() const noexcept override { return running_.load(); }
  [[nodiscard]] bool is_batching() const noexcept override { return batcher_.is_batching(); }
  [[nodiscard]] std::size_t approx_queue_size() const noexcept override {
    return batcher_.approx_size();
  }
  [[nodiscard]] std::size_t busy_instances() const noexcept override;
  [[nodiscard]] std::uint64_t restarts() const noexcept override;
  [[nodiscard]] Status health() const noexcept override;

 private:
  // Of a worker: it takes batches, is to take no more, takes none.
  enum class Phase : std::uint8_t { kAtWork, kAsked, kLeft };
  // What a pipelined instance's worker waits on: where it takes any request, where it takes whole
  // batches only, and where it takes none. Others would wake it in vain.
  struct Bell {
    Bell(EventCount& of_requests, EventCount& of_batches) noexcept
        : work(of_requests), full(of_batches) {}

    EventCount& work;
    EventCount& full;
    EventCount ended;

    static void ring(void* bell) noexcept;
  };
  // An Instance and the right to use it: a worker's own, lent to callers that run inline. One
  // without an instance is room for another.
  struct InstanceSlot {
    InstanceSlot(EventCount& work, EventCount& full) noexcept : bell(work, full) {}

    Bell bell;  // outlives the instance, which may ring it until it is destroyed
    std::unique_ptr<Instance> instance;  // changed under in_use and instances_mutex_ both
    std::mutex in_use;
    RelaxedGauge<bool> is_busy;  // its worker executes, or whom it is lent to
    std::thread worker;
    std::atomic<Phase> phase{Phase::kAtWork};
    // Somebody waits for in_use, which a worker that always has something in progress never leaves.
    std::atomic<int> wanted{0};
  };
  // For as long as this lives the slot's worker begins nothing, and leaves in_use when it is idle.
  class WantedScope {
   public:
    WantedScope(InstanceSlot& slot, EventCount& work) noexcept : slot_(slot), work_(work) {
      slot_.wanted.fetch_add(1);
    }
    WantedScope(const WantedScope&) = delete;
    WantedScope& operator=(const WantedScope&) = delete;
    ~WantedScope() {
      slot_.wanted.fetch_sub(1);
      work_.notify_all();  // requests that came meanwhile woke nobody who may take them
    }

   private:
    InstanceSlot& slot_;
    EventCount& work_;
  };
  // What warm_up() ran, for instances that are made later.
  struct WarmRequest {
    std::vector<Tensor> inputs;
    std::uint64_t outputs_wanted;
  };
  // An instance that is lent to a caller; none: null.
  struct Loan {
    InstanceSlot* slot = nullptr;
    std::unique_lock<std::mutex> in_use;
  };
  class AdmissionGuard;
  struct PipelinedWorker;

  ServedModel(RequestPool& pool, DeadlineTimer& timer, std::unique_ptr<Model> model,
              ServeOptions options);

  Status validate(std::span<const Tensor> inputs) const;
  // Leaves in `judged` by what it judged; nothing without a deadline.
  Status check_deadline(const RequestOptions& options, std::uint64_t shape_key, std::int64_t rows,
                        std::optional<AdmissionQuestion>& judged);
  Status enqueue(std::vector<Tensor>&& inputs, const RequestOptions& options, std::int64_t rows,
                 std::uint64_t shape_key, const std::optional<AdmissionQuestion>& judged,
                 std::shared_ptr<CompletionSink> sink, std::uint64_t tag, Ticket* ticket);
  // What it should take on its caller's thread; 0 where that is not known, or too long.
  [[nodiscard]] Nanoseconds inline_ns(const RequestOptions& options, std::uint64_t shape_key,
                                      std::int64_t rows) noexcept;
  // None while something waits that the caller would overtake.
  [[nodiscard]] Loan borrow_instance() noexcept;
  [[nodiscard]] bool has_workers() const noexcept;
  Status warm_up_instance(Instance& instance, const WarmRequest& request, Nanoseconds until_ns);
  // Both with close_mutex_.
  Status start_instance(std::size_t number);
  Status end_instance(InstanceSlot& slot);
  [[nodiscard]] static bool leaves_when_asked(InstanceSlot& slot) noexcept;
  void run_worker(InstanceSlot& slot, std::size_t number) noexcept;
  void run_blocking_worker(InstanceSlot& slot) noexcept;
  void run_pipelined_worker(InstanceSlot& slot, PipelinedInstance& instance) noexcept;
  void notify_of_work() noexcept;
  bool begin_next(PipelinedWorker& worker) noexcept;
  [[nodiscard]] EventCount* source_of(const PipelinedWorker& worker) noexcept;
  void wait_for_device(PipelinedWorker& worker) noexcept;
  // Waits for the instance where it is lent to a caller.
  void take_back(std::unique_lock<std::mutex>& in_use) noexcept;
  // After prepare_wait() gave `key` and nothing was found. False: the worker has left.
  bool wait_for_work(InstanceSlot& slot, EventCount::Key key) noexcept;
  void fail_queued(const Status& status) noexcept;
  void fail_unserved(Request& request, const Status& status) noexcept;

  RequestPool& pool_;
  DeadlineTimer& timer_;
  const ServeOptions options_;
  std::unique_ptr<Model> model_;  // declared before slots_: instances go first
  ModelStats stats_;
  LatencyModel latency_;
  Batcher batcher_;
  EventCount work_;  // something waits
  EventCount full_;  // as much as one execution takes: for workers that have begun another
  RelaxedGauge<bool> is_pipelined_{false};            // there are such workers
  std::vector<std::unique_ptr<InstanceSlot>> slots_;  // as many as there may be instances
  std::atomic<std::size_t> running_{0};               // those of the first slots
  mutable std::mutex instances_mutex_;                // short: no execution waits for it
  std::uint64_t ended_restarts_ = 0;                  // of instances that are gone; with it
  std::atomic<bool> closing_{false};                  // admission refuses
  std::atomic<bool> stopping_{false};                 // workers leave
  // Submitters between their check of closing_ and the push.
  std::atomic<std::int64_t> admitting_{0};
  std::atomic<std::uint32_t> too_slow_{
      0};  // requests refused, or run as a probe, as too slow alone
  std::atomic<std::uint32_t> slow_inline_{0};  // requests that were a little too slow to run inline
  std::mutex close_mutex_;                     // closing, and changing the number of instances
  std::vector<WarmRequest> warm_requests_;     // with it
};

}  // namespace slipstream
