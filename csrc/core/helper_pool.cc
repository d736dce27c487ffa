#include "core/helper_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include "core/this_thread.h"

namespace slipstream {
namespace {

// How often a caller looks for the end of its loop before it sleeps: the chunks that helpers are in
// the middle of are usually done sooner than a sleeper wakes.
constexpr int kLooks = 64;

// Signals are for the threads that the program made; a helper takes none.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    blocked_ = pthread_sigmask(SIG_SETMASK, &all, &before_) == 0;
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() {
    if (blocked_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_{};
  bool blocked_ = false;
};

}  // namespace

std::size_t available_cores() noexcept {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
    return std::min(static_cast<std::size_t>(CPU_COUNT(&set)), kMaxCores);
  }
#endif
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMaxCores);
}

HelperPool& HelperPool::shared() noexcept {
  // Never destroyed: helpers may be asleep in it while the process ends.
  alignas(HelperPool) static std::byte memory[sizeof(HelperPool)];
  static HelperPool* const pool = new (memory) HelperPool(available_cores() - 1);
  return *pool;
}

HelperPool::Crew HelperPool::hire(std::size_t wanted) noexcept {
  if (wanted == 0) return {*this, 0};
  const std::scoped_lock lock(mutex_);
  wanted = std::min(wanted, max_helpers_ - hired_);
  while (started_ - hired_ < wanted && start_helper()) ++started_;
  wanted = std::min(wanted, started_ - hired_);
  hired_ += wanted;
  return {*this, wanted};
}

void HelperPool::release(std::size_t helpers) noexcept {
  const std::scoped_lock lock(mutex_);
  hired_ -= helpers;
}

bool HelperPool::start_helper() noexcept {
  const SignalsBlocked blocked;
  try {
    std::thread([this, number = started_ + 1] {
      set_current_thread_name("slip-help-" + std::to_string(number));
      help();
    }).detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void HelperPool::Job::work(std::size_t worker) noexcept {
  // Acquire and release: nothing is passed from chunk to chunk, but cheap beside a chunk.
  for (std::size_t chunk = next_chunk.fetch_add(1, std::memory_order_acq_rel); chunk < chunks;
       chunk = next_chunk.fetch_add(1, std::memory_order_acq_rel)) {
    body(context, worker, chunk);
  }
}

void HelperPool::run(Job& job) noexcept {
  if (job.places == 0 || job.chunks < 2) {
    job.work(0);
    return;
  }
  const std::size_t places = std::min(job.places, job.chunks - 1);
  job.places = places;
  {
    const std::scoped_lock lock(mutex_);
    job.next = jobs_;
    jobs_ = &job;
  }
  if (places > 1) {
    work_.notify_all();
  } else {
    work_.notify_one();
  }
  job.work(0);
  {
    const std::scoped_lock lock(mutex_);
    remove(job);
  }
  wait_for_helpers(job);
}

void HelperPool::help() noexcept {
  for (;;) {
    const EventCount::Key key = work_.prepare_wait();
    std::size_t worker = 0;
    Job* const job = take_place(worker);
    if (job == nullptr) {
      work_.wait(key);
      continue;
    }
    work_.cancel_wait();
    job->work(worker);
    // [left] Release: what was computed is seen by the caller, who waits for this and may then
    // destroy the job: this is the last that is done to it.
    job->helpers_inside.fetch_sub(1, std::memory_order_release);
    done_.notify_all();
  }
}

HelperPool::Job* HelperPool::take_place(std::size_t& worker) noexcept {
  const std::scoped_lock lock(mutex_);
  for (Job* job = jobs_; job != nullptr; job = job->next) {
    if (job->places == 0) continue;
    --job->places;
    worker = job->next_worker++;
    // Under the mutex, as is remove: once the caller has removed the job, nobody enters it.
    job->helpers_inside.fetch_add(1, std::memory_order_acq_rel);
    return job;
  }
  return nullptr;
}

void HelperPool::remove(Job& job) noexcept {
  Job** link = &jobs_;
  while (*link != &job) link = &(*link)->next;
  *link = job.next;
}

void HelperPool::wait_for_helpers(const Job& job) noexcept {
  // Acquire: pairs with [left].
  const auto is_done = [&job] { return job.helpers_inside.load(std::memory_order_acquire) == 0; };
  for (int look = 0; look < kLooks; ++look) {
    if (is_done()) return;
    std::this_thread::yield();
  }
  for (;;) {
    const EventCount::Key key = done_.prepare_wait();
    if (is_done()) {
      done_.cancel_wait();
      return;
    }
    done_.wait(key);
  }
}

}  // namespace slipstream
