#include "simulator.h"

#include <algorithm>
#include <random>

namespace sim {
namespace {

using slipstream::kNoDeadline;

// One execution in so many takes five times as long: a preempted thread, a page fault.
constexpr std::uint64_t kHiccupEvery = 500;
constexpr double kHiccupFactor = 5;

struct Instance {
  Nanoseconds free_ns = kNoDeadline;  // when its execution ends; never while it is idle
  Nanoseconds execute_ns = 0;
  std::vector<std::uint32_t> jobs;
  std::int64_t rows = 0;
};

class Run {
 public:
  Run(const Scenario& scenario, const std::vector<Job>& jobs, Scheduler& scheduler)
      : scenario_(scenario),
        jobs_(jobs),
        scheduler_(scheduler),
        random_(scenario.seed + 1),
        instances_(scenario.instances) {
    outcome_.classes.resize(scenario.classes.size());
    outcome_.span_ns = jobs.empty() ? 0 : jobs.back().arrival_ns;
  }

  Outcome run() {
    for (;;) {
      const auto first = std::ranges::min_element(instances_, {}, &Instance::free_ns);
      const Nanoseconds arrival = next_ < jobs_.size() ? jobs_[next_].arrival_ns : kNoDeadline;
      const Nanoseconds now = std::min({first->free_ns, arrival, ask_again_ns_});
      if (now == kNoDeadline) break;
      if (first->free_ns == now) {
        end(*first, now);
      } else if (arrival == now) {
        arrive(now);
      }
      start_idle(now);
    }
    for (ClassOutcome& each : outcome_.classes) {
      each.dropped = each.offered - each.good - each.late - each.refused;
    }
    return std::move(outcome_);
  }

 private:
  void arrive(Nanoseconds now) {
    const Job& job = jobs_[next_];
    ClassOutcome& each = outcome_.classes[job.class_index];
    ++each.offered;
    if (!scheduler_.offer(static_cast<std::uint32_t>(next_), job, now)) ++each.refused;
    ++next_;
  }

  void start_idle(Nanoseconds now) {
    ask_again_ns_ = kNoDeadline;
    for (Instance& instance : instances_) {
      if (instance.free_ns != kNoDeadline) continue;
      Decision decision = scheduler_.decide(now);
      if (decision.jobs.empty()) {
        ask_again_ns_ = std::max(decision.ask_again_ns, now + 1);
        return;
      }
      instance.rows = 0;
      for (const std::uint32_t job : decision.jobs) instance.rows += jobs_[job].rows;
      instance.jobs = std::move(decision.jobs);
      instance.execute_ns = execution_time(instance.rows);
      instance.free_ns = now + instance.execute_ns;
      ++outcome_.executions;
      outcome_.executed_rows += instance.rows;
    }
  }

  Nanoseconds execution_time(std::int64_t rows) {
    double factor =
        std::max(1 + scenario_.noise * std::normal_distribution<double>()(random_), 0.8);
    if (scenario_.noise > 0 && random_() % kHiccupEvery == 0) factor *= kHiccupFactor;
    return static_cast<Nanoseconds>(static_cast<double>(scenario_.curve.time_ns(rows)) * factor);
  }

  void end(Instance& instance, Nanoseconds now) {
    for (const std::uint32_t index : instance.jobs) {
      const Job& job = jobs_[index];
      ClassOutcome& each = outcome_.classes[job.class_index];
      each.latencies_ns.push_back(now - job.arrival_ns);
      if (now <= job.deadline_ns) {
        ++each.good;
        // What is answered after the last arrival would make the last moments count more.
        if (now <= outcome_.span_ns) each.good_rows += job.rows;
      } else {
        ++each.late;
      }
    }
    instance.free_ns = kNoDeadline;
    scheduler_.ended(instance.jobs, instance.rows, instance.execute_ns, now);
    instance.jobs.clear();
  }

  const Scenario& scenario_;
  const std::vector<Job>& jobs_;
  Scheduler& scheduler_;
  std::mt19937_64 random_;
  std::vector<Instance> instances_;
  std::size_t next_ = 0;  // to arrive
  Nanoseconds ask_again_ns_ = kNoDeadline;
  Outcome outcome_;
};

}  // namespace

Outcome simulate(const Scenario& scenario, const std::vector<Job>& jobs, Scheduler& scheduler) {
  return Run(scenario, jobs, scheduler).run();
}

std::vector<std::string> scheduler_names() {
  return {"slipstream", "none",    "triton", "triton-window", "tf-serving",
          "clipper",    "bentoml", "nexus",  "clockwork"};
}

std::unique_ptr<Scheduler> make_scheduler(std::string_view name, const Scenario& scenario,
                                          const std::vector<Job>& jobs) {
  if (name == "slipstream") return make_slipstream(scenario);
  if (auto made = make_queue_rival(name, scenario, jobs)) return made;
  return make_deadline_rival(name, scenario, jobs);
}

}  // namespace sim
