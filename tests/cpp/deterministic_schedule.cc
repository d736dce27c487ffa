#include "deterministic_schedule.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <utility>

namespace slipstream::schedule {
namespace {

thread_local DeterministicSchedule* current_schedule = nullptr;
thread_local std::size_t current_thread = 0;

constexpr std::size_t kNobody = ~std::size_t{0};

}  // namespace

DeterministicSchedule::DeterministicSchedule(std::uint64_t seed)
    : seed_(seed),
      random_(seed),
      strategy_(static_cast<Strategy>(random_.below(3))),
      running_(kNobody) {}

DeterministicSchedule::~DeterministicSchedule() = default;

void DeterministicSchedule::spawn(std::function<void()> body) {
  auto thread = std::make_unique<Thread>();
  thread->body = std::move(body);
  thread->priority = random_.next() | (std::uint64_t{1} << 63U);  // above everyone demoted later
  threads_.push_back(std::move(thread));
  lowest_priority_ = std::uint64_t{1} << 63U;
}

Outcome DeterministicSchedule::run() {
  std::vector<std::thread> workers;
  workers.reserve(threads_.size());
  for (std::size_t i = 0; i < threads_.size(); ++i)
    workers.emplace_back([this, i] { thread_main(i); });
  {
    const std::scoped_lock lock(mutex_);
    choose_next();
  }
  for (std::thread& worker : workers) worker.join();
  return outcome_;
}

void DeterministicSchedule::thread_main(std::size_t index) {
  current_schedule = this;
  current_thread = index;
  Thread& self = *threads_[index];
  {
    std::unique_lock lock(mutex_);
    self.turn.wait(lock, [&] { return running_ == index; });
  }
  self.body();
  const std::scoped_lock lock(mutex_);
  self.state = State::kDone;
  choose_next();
}

void DeterministicSchedule::yield_point() noexcept {
  DeterministicSchedule* const schedule = current_schedule;
  if (schedule == nullptr) return;
  std::unique_lock lock(schedule->mutex_);
  schedule->pass_turn(lock, current_thread);
}

bool DeterministicSchedule::on_a_whim(std::size_t n) noexcept {
  return current_schedule != nullptr && current_schedule->random_.one_in(n);
}

bool DeterministicSchedule::sleep_on(const void* address, bool has_deadline) noexcept {
  DeterministicSchedule* const schedule = current_schedule;
  if (schedule == nullptr) return false;
  std::unique_lock lock(schedule->mutex_);
  if (schedule->abandoned_) return false;
  Thread& self = *schedule->threads_[current_thread];
  self.state = State::kAsleep;
  self.asleep_on = address;
  self.has_deadline = has_deadline;
  self.timed_out = false;
  schedule->pass_turn(lock, current_thread);
  return !self.timed_out;
}

void DeterministicSchedule::wake(const void* address, int count) noexcept {
  DeterministicSchedule* const schedule = current_schedule;
  if (schedule == nullptr) return;
  const std::scoped_lock lock(schedule->mutex_);
  for (; count > 0; --count) {
    std::vector<Thread*> asleep;
    for (const auto& thread : schedule->threads_) {
      if (thread->state == State::kAsleep && thread->asleep_on == address) {
        asleep.push_back(thread.get());
      }
    }
    if (asleep.empty()) return;
    asleep[schedule->random_.below(asleep.size())]->state = State::kReady;
  }
}

void DeterministicSchedule::pass_turn(std::unique_lock<std::mutex>& lock, std::size_t self) {
  choose_next();
  if (running_ != self) {
    threads_[self]->turn.wait(lock, [&] { return running_ == self; });
  }
}

// Decides who runs next, which may be whoever runs now, and tells it.
void DeterministicSchedule::choose_next() {
  ++step_;
  if (step_ > kStepLimit && !abandoned_) abandon(Outcome::kStepLimit);
  if (step_ > 10 * kStepLimit) {  // a loop inside the code under test: nothing can end it from here
    std::cerr << "deterministic schedule " << seed_ << " never ends\n";
    std::abort();
  }
  std::vector<std::size_t> candidates;
  const auto collect = [&] {
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      const Thread& thread = *threads_[i];
      const bool may_time_out = thread.state == State::kAsleep && thread.has_deadline;
      if (thread.state == State::kReady || may_time_out) candidates.push_back(i);
    }
  };
  collect();
  if (candidates.empty()) {
    const bool all_done = std::ranges::all_of(
        threads_, [](const auto& thread) { return thread->state == State::kDone; });
    if (all_done) return;
    abandon(Outcome::kDeadlock);
    collect();
  }
  running_ = pick(candidates);
  Thread& next = *threads_[running_];
  if (next.state == State::kAsleep) {
    next.state = State::kReady;
    next.timed_out = true;
  }
  trace_ = (trace_ ^ running_) * 0x100000001b3U;
  next.turn.notify_one();
}

// Three ways to go through the interleavings: switch all the time; rarely; or hold some threads
// back until the others block or finish, which finds what needs one thread to be delayed for long.
std::size_t DeterministicSchedule::pick(const std::vector<std::size_t>& candidates) {
  const bool can_stay = std::ranges::find(candidates, running_) != candidates.end() &&
                        threads_[running_]->state == State::kReady;
  if (strategy_ == Strategy::kSticky && can_stay && !random_.one_in(5)) return running_;
  if (strategy_ != Strategy::kPriority) return candidates[random_.below(candidates.size())];
  if (can_stay && random_.one_in(12)) threads_[running_]->priority = --lowest_priority_;
  return *std::ranges::max_element(candidates, {},
                                   [this](std::size_t i) { return threads_[i]->priority; });
}

void DeterministicSchedule::abandon(Outcome outcome) {
  abandoned_ = true;
  outcome_ = outcome;
  for (const auto& thread : threads_) {
    if (thread->state != State::kAsleep) continue;
    thread->state = State::kReady;
    thread->timed_out = true;
  }
}

}  // namespace slipstream::schedule
