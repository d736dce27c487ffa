// The simulator: arrivals, instances and a scheduler between them, on a clock that jumps from event
// to event. Single-threaded.
//
// What it leaves out: the cost of deciding, of wake-ups and of gathering rows (nothing waits for a
// thread); clients that give up or retry; requests of more rows than an execution takes; models
// with inputs of different shapes; the inline path.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scenario.h"

namespace sim {

// What an idle instance shall do.
struct Decision {
  std::vector<std::uint32_t> jobs;                     // to run now; none: stay idle
  Nanoseconds ask_again_ns = slipstream::kNoDeadline;  // even if nothing arrives until then
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // A request arrives; false refuses it. What is neither refused nor ever decided upon was dropped.
  virtual bool offer(std::uint32_t index, const Job& job, Nanoseconds now) = 0;

  // An instance is idle.
  virtual Decision decide(Nanoseconds now) = 0;

  // An execution that decide() asked for has ended.
  virtual void ended(const std::vector<std::uint32_t>& jobs, std::int64_t rows,
                     Nanoseconds execute_ns, Nanoseconds now) = 0;
};

// Their names, and one of them; null for an unknown name.
[[nodiscard]] std::vector<std::string> scheduler_names();
[[nodiscard]] std::unique_ptr<Scheduler> make_scheduler(std::string_view name,
                                                        const Scenario& scenario,
                                                        const std::vector<Job>& jobs);
[[nodiscard]] std::unique_ptr<Scheduler> make_slipstream(const Scenario& scenario);
[[nodiscard]] std::unique_ptr<Scheduler> make_queue_rival(std::string_view name,
                                                          const Scenario& scenario,
                                                          const std::vector<Job>& jobs);
[[nodiscard]] std::unique_ptr<Scheduler> make_deadline_rival(std::string_view name,
                                                             const Scenario& scenario,
                                                             const std::vector<Job>& jobs);

// Latencies are those of requests that were answered, late or not.
struct ClassOutcome {
  std::size_t offered = 0;
  std::size_t good = 0;  // answered within the deadline
  std::size_t late = 0;
  std::size_t refused = 0;     // when they arrived
  std::size_t dropped = 0;     // later
  std::int64_t good_rows = 0;  // until the last arrival
  std::vector<Nanoseconds> latencies_ns;
};

struct Outcome {
  std::vector<ClassOutcome> classes;
  std::size_t executions = 0;
  std::int64_t executed_rows = 0;
  Nanoseconds span_ns = 0;  // of the arrivals
};

[[nodiscard]] Outcome simulate(const Scenario& scenario, const std::vector<Job>& jobs,
                               Scheduler& scheduler);

}  // namespace sim
