// Rivals that plan by deadlines and a profile of the model, which they are given exactly: Nexus
// (SOSP 2019) and Clockwork (OSDI 2020), reduced to one model.
#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "simulator.h"

namespace sim {
namespace {

// First come first served. The largest batch is the one that two of fit into the objective; early
// drop lets go of the oldest until one can make it in such a batch, and of those in the batch that
// cannot. (Its requests all have one objective: mixed ones are not what it was made for.)
class Nexus : public Scheduler {
 public:
  Nexus(const Scenario& scenario, const std::vector<Job>& jobs) : jobs_(jobs), scenario_(scenario) {
    while (limit_ < scenario.max_rows &&
           2 * scenario.curve.time_ns(limit_ + 1) <= scenario.slo_ns) {
      ++limit_;
    }
  }

  bool offer(std::uint32_t index, const Job& job, Nanoseconds /*now*/) override {
    queue_.push_back(index);
    rows_ += job.rows;
    return true;
  }

  Decision decide(Nanoseconds now) override {
    Decision decision;
    while (!queue_.empty()) {
      const Nanoseconds end = now + scenario_.curve.time_ns(std::min(rows_, limit_));
      if (jobs_[queue_.front()].deadline_ns >= end) break;
      pop();
    }
    const Nanoseconds end = now + scenario_.curve.time_ns(std::min(rows_, limit_));
    std::int64_t room = limit_;
    while (!queue_.empty() && room > 0) {
      const std::uint32_t index = queue_.front();
      const Job& job = jobs_[index];
      if (job.rows > room && !decision.jobs.empty()) break;
      pop();
      if (job.deadline_ns < end) continue;
      room -= job.rows;
      decision.jobs.push_back(index);
    }
    return decision;
  }

  void ended(const std::vector<std::uint32_t>&, std::int64_t, Nanoseconds, Nanoseconds) override {}

 private:
  void pop() {
    rows_ -= jobs_[queue_.front()].rows;
    queue_.pop_front();
  }
  const std::vector<Job>& jobs_;
  const Scenario& scenario_;
  std::int64_t limit_ = 1;
  std::int64_t rows_ = 0;
  std::deque<std::uint32_t> queue_;
};

// Earliest deadline first. Of the batch sizes it takes the largest for which enough requests can
// still make it; what cannot make it even alone is cancelled.
class Clockwork : public Scheduler {
 public:
  Clockwork(const Scenario& scenario, const std::vector<Job>& jobs)
      : jobs_(jobs), scenario_(scenario) {}

  bool offer(std::uint32_t index, const Job& job, Nanoseconds now) override {
    if (job.deadline_ns < now + scenario_.curve.time_ns(job.rows)) return false;
    queue_.emplace(job.deadline_ns, index);
    return true;
  }

  Decision decide(Nanoseconds now) override {
    Decision decision;
    queue_.erase(queue_.begin(), queue_.lower_bound({now + scenario_.curve.time_ns(1), 0}));
    for (std::int64_t size = scenario_.max_rows; size >= 1 && !queue_.empty(); size /= 2) {
      // Fewer than this size are what the next smaller ones are for, unless there are no more.
      const auto begin = queue_.lower_bound({now + scenario_.curve.time_ns(size), 0});
      std::int64_t rows = 0;
      auto end = begin;
      while (end != queue_.end() && rows + jobs_[end->second].rows <= size) {
        rows += jobs_[end->second].rows;
        ++end;
      }
      if (rows == 0 || (rows <= size / 2 && begin != queue_.begin())) continue;
      for (auto each = begin; each != end; ++each) decision.jobs.push_back(each->second);
      queue_.erase(begin, end);
      return decision;
    }
    // Only requests of many rows that cannot make it are left.
    if (!queue_.empty()) queue_.erase(queue_.begin());
    return decision;
  }

  void ended(const std::vector<std::uint32_t>&, std::int64_t, Nanoseconds, Nanoseconds) override {}

 private:
  const std::vector<Job>& jobs_;
  const Scenario& scenario_;
  std::set<std::pair<Nanoseconds, std::uint32_t>> queue_;  // by deadline
};

}  // namespace

std::unique_ptr<Scheduler> make_deadline_rival(std::string_view name, const Scenario& scenario,
                                               const std::vector<Job>& jobs) {
  if (name == "nexus") return std::make_unique<Nexus>(scenario, jobs);
  if (name == "clockwork") return std::make_unique<Clockwork>(scenario, jobs);
  return nullptr;
}

}  // namespace sim
