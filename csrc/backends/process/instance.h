// ProcessInstance: one worker process at a time, replaced by the next execute() after it died.
//
// While a worker keeps dying as it starts, execute() fails at once with kUnavailable and tries
// again only after a pause that doubles up to a bound. One thread at a time, as Instance says;
// restarts() and interrupt() from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/process/options.h"
#include "backends/process/worker_link.h"
#include "core/backend.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream::process {

class ProcessInstance final : public Instance {
 public:
  // `link` is a worker that is ready. `launch` and `spec` belong to the Model and outlive this.
  ProcessInstance(const Launch& launch, const ModelSpec& spec, std::unique_ptr<WorkerLink> link)
      : launch_(launch), spec_(spec), link_(std::move(link)) {}

  [[nodiscard]] Status execute(const Execution& execution,
                               std::vector<Tensor>& outputs) noexcept override;
  void interrupt() noexcept override;
  [[nodiscard]] std::uint64_t restarts() const noexcept override { return restarts_.value(); }

 private:
  void replace_link(std::unique_ptr<WorkerLink> link);
  [[nodiscard]] Status ensure_worker();
  [[nodiscard]] Status start_failed(const Status& reason);

  const Launch& launch_;
  const ModelSpec& spec_;
  std::mutex link_mutex_;             // held to replace link_, and to use it from another thread
  std::unique_ptr<WorkerLink> link_;  // null: the next execute starts a worker
  bool is_interrupted_ = false;       // guarded by link_mutex_
  std::uint32_t failed_starts_ = 0;   // in a row
  std::chrono::steady_clock::time_point next_start_;
  std::string last_failure_;
  RelaxedCounter restarts_;
};

}  // namespace slipstream::process
