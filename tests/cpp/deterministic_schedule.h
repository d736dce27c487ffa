// Deterministic schedules: run lock-free code under a scheduler that lets exactly one thread run at
// a time and decides by a seed, at every atomic operation, which one goes on. Thousands of seeds
// walk through thousands of interleavings, and a seed that fails fails again every time.
//
// Use: instantiate the code under test with ScheduledAtomic in place of std::atomic (and
// ScheduledSleeper in place of its sleeper), spawn two or three bodies, run(), check what they did.
// Keep bodies to a handful of operations: the number of interleavings explodes, the seeds do not.
// What it does not find: missing acquire/release orders. Every operation is sequentially consistent
// here; ThreadSanitizer looks for those in the stress tests.
//
// Threads: one schedule at a time on one thread of the test; the bodies run on threads of its own.
// Outside of a schedule ScheduledAtomic is a plain variable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace slipstream::schedule {

// splitmix64: small, and the same numbers on every platform, unlike <random>'s distributions.
class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  // Uniform in [0, bound). The bias of the modulo does not matter for such small bounds.
  std::size_t below(std::size_t bound) noexcept {
    return static_cast<std::size_t>(next() % static_cast<std::uint64_t>(bound));
  }
  bool one_in(std::size_t n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

enum class Outcome : std::uint8_t {
  kFinished,   // every body returned
  kDeadlock,   // every body that was left slept, with nobody to wake it: a lost wake-up
  kStepLimit,  // the bodies went round in circles
};

class DeterministicSchedule {
 public:
  static constexpr std::uint64_t kStepLimit = 20'000;

  explicit DeterministicSchedule(std::uint64_t seed);
  DeterministicSchedule(const DeterministicSchedule&) = delete;
  DeterministicSchedule& operator=(const DeterministicSchedule&) = delete;
  ~DeterministicSchedule();

  void spawn(std::function<void()> body);
  // Runs all bodies to their end, once. After a deadlock or at the step limit the schedule is
  // abandoned: sleepers return, and bodies that loop must look at abandoned() and leave.
  Outcome run();

  [[nodiscard]] bool abandoned() const noexcept { return abandoned_; }
  // Scheduling points passed so far. Two bodies never see the same number, so it orders events.
  [[nodiscard]] std::uint64_t step() const noexcept { return step_; }
  // A digest of all decisions: equal seeds give equal traces.
  [[nodiscard]] std::uint64_t trace() const noexcept { return trace_; }

  // Called by the code under test. Outside of a schedule they do nothing.
  static void yield_point() noexcept;
  // True one time in n, as the seed says: for failures that may happen for no reason.
  static bool on_a_whim(std::size_t n) noexcept;
  // Sleeps until wake(address) picks this thread. False: the deadline passed (which a scheduler
  // without a clock lets happen at any time) or the schedule was abandoned.
  static bool sleep_on(const void* address, bool has_deadline) noexcept;
  // Wakes up to `count` of the threads asleep on `address`, in no particular order.
  static void wake(const void* address, int count) noexcept;

 private:
  enum class State : std::uint8_t { kReady, kAsleep, kDone };
  struct Thread {
    std::function<void()> body;
    std::condition_variable turn;
    State state = State::kReady;
    const void* asleep_on = nullptr;
    bool has_deadline = false;
    bool timed_out = false;
    std::uint64_t priority = 0;
  };
  enum class Strategy : std::uint8_t { kUniform, kSticky, kPriority };

  void thread_main(std::size_t index);
  // These want mutex_ held.
  void pass_turn(std::unique_lock<std::mutex>& lock, std::size_t self);
  void choose_next();
  [[nodiscard]] std::size_t pick(const std::vector<std::size_t>& candidates);
  void abandon(Outcome outcome);

  const std::uint64_t seed_;
  SeededRandom random_;
  Strategy strategy_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::size_t running_ = 0;
  std::uint64_t step_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325U;
  std::uint64_t lowest_priority_ = 0;
  Outcome outcome_ = Outcome::kFinished;
  bool abandoned_ = false;
};

// An atomic whose every operation is a scheduling point, before it and behind it: so the plain
// memory accesses between two operations are steps of their own. Memory orders are ignored.
template <class T>
class ScheduledAtomic {
 public:
  constexpr ScheduledAtomic() noexcept = default;
  constexpr ScheduledAtomic(T value) noexcept : value_(value) {}  // NOLINT: as std::atomic
  ScheduledAtomic(const ScheduledAtomic&) = delete;
  ScheduledAtomic& operator=(const ScheduledAtomic&) = delete;
  ~ScheduledAtomic() = default;

  T load(std::memory_order /*order*/) const noexcept {
    return step([this] { return value_; });
  }
  void store(T value, std::memory_order /*order*/) noexcept {
    (void)step([&] { return value_ = value; });
  }
  T fetch_add(T n, std::memory_order /*order*/) noexcept {
    return step([&] {
      const T before = value_;
      value_ = static_cast<T>(value_ + n);
      return before;
    });
  }
  T fetch_sub(T n, std::memory_order order) noexcept {
    return fetch_add(static_cast<T>(T{0} - n), order);
  }
  T fetch_or(T bits, std::memory_order /*order*/) noexcept {
    return step([&] {
      const T before = value_;
      value_ = static_cast<T>(value_ | bits);
      return before;
    });
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order /*success*/,
                             std::memory_order /*failure*/) noexcept {
    return step([&] {
      const bool equal = value_ == expected;
      if (equal && !DeterministicSchedule::on_a_whim(8)) {
        value_ = desired;
        return true;
      }
      expected = value_;
      return false;
    });
  }
  // For sleepers only, which compare and fall asleep in one step: no scheduling point.
  T value_now() const noexcept { return value_; }

 private:
  template <class Operation>
  static auto step(Operation operation) noexcept {
    DeterministicSchedule::yield_point();
    const auto result = operation();
    DeterministicSchedule::yield_point();
    return result;
  }

  T value_{};
};

// Runs `scenario(seed)` for seeds 0 to count-1 until one returns a complaint, which comes back as
// "seed 17: ...". SLIPSTREAM_SEED=17 in the environment replays that seed alone.
template <class Scenario>
std::optional<std::string> first_complaint(std::uint64_t count, Scenario scenario) {
  std::uint64_t first = 0;
  if (const char* replay = std::getenv("SLIPSTREAM_SEED"); replay != nullptr) {
    first = std::strtoull(replay, nullptr, 10);
    count = first + 1;
  }
  for (std::uint64_t seed = first; seed < count; ++seed) {
    const std::string complaint = scenario(seed);
    if (!complaint.empty()) return "seed " + std::to_string(seed) + ": " + complaint;
  }
  return std::nullopt;
}

}  // namespace slipstream::schedule
