// Rivals that keep a queue and know no deadlines, or only that one has passed: no batching, fixed
// windows (Triton, TensorFlow Serving), AIMD (Clipper), the corked least-squares of BentoML.
// Small and honest: what each decides, with the settings that suit it, and without its overhead.
#include <algorithm>
#include <deque>
#include <map>

#include "simulator.h"

namespace sim {
namespace {

using slipstream::kNoDeadline;
using Queue = std::deque<std::uint32_t>;

// Takes from the front as long as the rows fit.
void take_front(Queue& queue, const std::vector<Job>& jobs, std::int64_t room, Decision& decision) {
  while (!queue.empty() && jobs[queue.front()].rows <= room) {
    room -= jobs[queue.front()].rows;
    decision.jobs.push_back(queue.front());
    queue.pop_front();
  }
}

// First come first served, from a bounded queue.
class OneQueue : public Scheduler {
 public:
  bool offer(std::uint32_t index, const Job& /*job*/, Nanoseconds /*now*/) override {
    if (queue_.size() >= kCapacity) return false;
    queue_.push_back(index);
    return true;
  }

 protected:
  Queue queue_;

 private:
  static constexpr std::size_t kCapacity = 1024;
};

// One request an execution.
class None : public OneQueue {
 public:
  Decision decide(Nanoseconds /*now*/) override {
    Decision decision;
    if (queue_.empty()) return decision;
    decision.jobs.push_back(queue_.front());
    queue_.pop_front();
    return decision;
  }
  void ended(const std::vector<std::uint32_t>&, std::int64_t, Nanoseconds, Nanoseconds) override {}
};

// A batch starts when it is full or its oldest request has waited for the window. Triton's has
// priority levels, and a queue policy that rejects what has timed out; with a window of zero it
// takes what is there. TensorFlow Serving's is one queue. Both refuse what makes a queue longer
// than the objective allows, as somebody would set them up who knows the model.
class Window : public Scheduler {
 public:
  Window(const Scenario& scenario, const std::vector<Job>& jobs, Nanoseconds window_ns,
         bool is_triton)
      : jobs_(jobs),
        max_rows_(scenario.max_rows),
        most_rows_(most_rows(scenario)),
        window_ns_(window_ns),
        is_triton_(is_triton) {}

  bool offer(std::uint32_t index, const Job& job, Nanoseconds /*now*/) override {
    Level& level = levels_[is_triton_ ? -job.priority : 0];
    if (level.rows + job.rows > most_rows_) return false;
    level.rows += job.rows;
    level.queue.push_back(index);
    return true;
  }

  Decision decide(Nanoseconds now) override {
    Decision decision;
    Nanoseconds oldest = kNoDeadline;
    std::int64_t rows = 0;
    for (auto& [priority, level] : levels_) {
      if (is_triton_) {
        std::erase_if(level.queue, [&](std::uint32_t index) {
          if (jobs_[index].deadline_ns > now) return false;
          level.rows -= jobs_[index].rows;
          return true;
        });
      }
      rows += level.rows;
      if (!level.queue.empty()) oldest = std::min(oldest, jobs_[level.queue.front()].arrival_ns);
    }
    if (oldest == kNoDeadline) return decision;
    if (rows < max_rows_ && now - oldest < window_ns_) {
      decision.ask_again_ns = oldest + window_ns_;
      return decision;
    }
    std::int64_t room = max_rows_;
    for (auto& [priority, level] : levels_) {
      std::size_t taken = decision.jobs.size();
      take_front(level.queue, jobs_, room, decision);
      for (; taken < decision.jobs.size(); ++taken) {
        room -= jobs_[decision.jobs[taken]].rows;
        level.rows -= jobs_[decision.jobs[taken]].rows;
      }
    }
    return decision;
  }

  void ended(const std::vector<std::uint32_t>&, std::int64_t, Nanoseconds, Nanoseconds) override {}

 private:
  struct Level {
    Queue queue;
    std::int64_t rows = 0;
  };

  // What can be run within the objective, after the execution that is running.
  static std::int64_t most_rows(const Scenario& scenario) {
    const Nanoseconds batch_ns = scenario.curve.time_ns(scenario.max_rows);
    const std::int64_t batches = std::max<std::int64_t>(scenario.slo_ns / batch_ns - 1, 1);
    return batches * scenario.max_rows * static_cast<std::int64_t>(scenario.instances);
  }

  const std::vector<Job>& jobs_;
  const std::int64_t max_rows_;
  const std::int64_t most_rows_;
  const Nanoseconds window_ns_;
  const bool is_triton_;
  std::map<int, Level> levels_;  // highest priority first
};

// Clipper (NSDI 2017): the largest batch grows by one while executions keep to the objective, and
// shrinks by a tenth when one does not.
class Aimd : public OneQueue {
 public:
  Aimd(const Scenario& scenario, const std::vector<Job>& jobs)
      : jobs_(jobs), max_rows_(scenario.max_rows), slo_ns_(scenario.slo_ns) {}

  Decision decide(Nanoseconds /*now*/) override {
    Decision decision;
    if (queue_.empty()) return decision;
    const auto limit = static_cast<std::int64_t>(limit_);
    take_front(queue_, jobs_, std::max(limit, jobs_[queue_.front()].rows), decision);
    return decision;
  }
  void ended(const std::vector<std::uint32_t>&, std::int64_t rows, Nanoseconds execute_ns,
             Nanoseconds) override {
    if (execute_ns > slo_ns_) {
      limit_ = std::max(limit_ * 0.9, 1.0);
    } else if (static_cast<double>(rows + 1) > limit_) {
      limit_ = std::min(limit_ + 1, static_cast<double>(max_rows_));
    }
  }

 private:
  const std::vector<Job>& jobs_;
  const std::int64_t max_rows_;
  const Nanoseconds slo_ns_;
  double limit_ = 1;
};

// BentoML's CorkDispatcher: waits while that promises more than the average wait costs, cancels the
// oldest when a line fitted to the last executions says that it is late, and runs the newest first.
// It looks again every millisecond; here twice in the time of one row, which is kinder to it.
class Cork : public Scheduler {
 public:
  Cork(const Scenario& scenario, const std::vector<Job>& jobs)
      : jobs_(jobs),
        max_rows_(scenario.max_rows),
        slo_ns_(static_cast<double>(scenario.slo_ns)),
        tick_ns_(std::max<Nanoseconds>(scenario.curve.time_ns(1) / 2, 1)),
        wait_ns_(static_cast<double>(scenario.slo_ns) / 3) {}

  bool offer(std::uint32_t index, const Job& /*job*/, Nanoseconds /*now*/) override {
    queue_.push_back(index);
    return true;
  }

  Decision decide(Nanoseconds now) override {
    Decision decision;
    const auto age = [&](std::uint32_t index) {
      return static_cast<double>(now - jobs_[index].arrival_ns);
    };
    const auto count = [&] { return static_cast<double>(queue_.size()); };
    while (queue_.size() > 1 && age(queue_.front()) + slope_ns_ * count() + base_ns_ >= slo_ns_) {
      queue_.pop_front();
    }
    if (queue_.empty()) return decision;
    const double longer = age(queue_.back()) + static_cast<double>(tick_ns_) + slope_ns_;
    if (count() < static_cast<double>(max_rows_) && count() * longer <= wait_ns_ * 0.95) {
      decision.ask_again_ns = now + tick_ns_;
      return decision;
    }
    std::int64_t room = max_rows_;
    waits_ns_ = age(queue_.front());
    while (!queue_.empty() && jobs_[queue_.back()].rows <= room) {
      room -= jobs_[queue_.back()].rows;
      decision.jobs.push_back(queue_.back());
      queue_.pop_back();
    }
    return decision;
  }

  void ended(const std::vector<std::uint32_t>& jobs, std::int64_t, Nanoseconds execute_ns,
             Nanoseconds) override {
    samples_.push_back(
        {static_cast<double>(jobs.size()), static_cast<double>(execute_ns), waits_ns_});
    if (samples_.size() > kSamples) samples_.pop_front();
    fit();
  }

 private:
  struct Sample {
    double size;
    double time_ns;
    double wait_ns;
  };
  static constexpr std::size_t kSamples = 50;

  void fit() {
    const auto count = static_cast<double>(samples_.size());
    double x = 0;
    double y = 0;
    double xx = 0;
    double xy = 0;
    double wait = 0;
    for (const Sample& sample : samples_) {
      x += sample.size;
      y += sample.time_ns;
      xx += sample.size * sample.size;
      xy += sample.size * sample.time_ns;
      wait += sample.wait_ns;
    }
    const double spread = count * xx - x * x;
    slope_ns_ =
        spread > 0 ? std::max((count * xy - x * y) / spread, 1.0) : y / std::max(x, 1.0) / 2;
    base_ns_ = std::max((y - slope_ns_ * x) / count, 0.0);
    wait_ns_ = wait / count;
  }

  const std::vector<Job>& jobs_;
  const std::int64_t max_rows_;
  const double slo_ns_;
  const Nanoseconds tick_ns_;
  double slope_ns_ = 0;
  double base_ns_ = 0;
  double wait_ns_;
  double waits_ns_ = 0;  // of the oldest in the execution that runs
  std::deque<Sample> samples_;
  Queue queue_;
};

}  // namespace

std::unique_ptr<Scheduler> make_queue_rival(std::string_view name, const Scenario& scenario,
                                            const std::vector<Job>& jobs) {
  // A window as long as a full batch takes: as good a fixed choice as any.
  const Nanoseconds window = scenario.curve.time_ns(scenario.max_rows);
  if (name == "none") return std::make_unique<None>();
  if (name == "triton") return std::make_unique<Window>(scenario, jobs, 0, true);
  if (name == "triton-window") return std::make_unique<Window>(scenario, jobs, window, true);
  if (name == "tf-serving") return std::make_unique<Window>(scenario, jobs, window, false);
  if (name == "clipper") return std::make_unique<Aimd>(scenario, jobs);
  if (name == "bentoml") return std::make_unique<Cork>(scenario, jobs);
  return nullptr;
}

}  // namespace sim
