// HelperPool: threads that help a caller through the chunks of one loop.
//
//   HelperPool::Crew crew = HelperPool::shared().hire(3);   // may be fewer, or none
//   crew.run(chunks, [&](std::size_t worker, std::size_t chunk) { ... });   // worker <=
//   crew.size()
//
// The caller works too, as worker 0, and takes whatever helpers have not begun: a loop never waits
// for a thread to wake up, only for chunks that a helper is in the middle of. Helpers are hired
// when idle, never shared, so that concurrent callers (and loops within loops) do not oversubscribe
// the cores: whoever finds nobody idle works alone.
//
// Threads: any may hire; a Crew is for one thread. Helpers start when they are first needed, sleep
// while they are not, and live as long as the process: the shared pool is never destroyed. In a
// child made by fork there are none, and callers do the work themselves.
// Failure: none; a thread that does not start is a helper fewer. Cost: hiring takes a mutex; waking
// a sleeping helper, one system call.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "core/sync/event_count.h"

namespace slipstream {

inline constexpr std::size_t kMaxCores = 1024;

// How many cores this process may use, at least 1.
[[nodiscard]] std::size_t available_cores() noexcept;

class HelperPool {
 public:
  class Crew;

  // The one pool of the process, or of the shared library that the core is linked into (a backend),
  // of available_cores() - 1 helpers.
  [[nodiscard]] static HelperPool& shared() noexcept;

  // A pool of its own is for tests; it lives as long as the process too (see shared).
  explicit HelperPool(std::size_t max_helpers) noexcept : max_helpers_(max_helpers) {}
  HelperPool(const HelperPool&) = delete;
  HelperPool& operator=(const HelperPool&) = delete;

  // Up to `wanted` idle helpers, for as long as the Crew lives.
  [[nodiscard]] Crew hire(std::size_t wanted) noexcept;

 private:
  // A loop that is being worked on; lives on its caller's stack.
  struct Job {
    void (*body)(const void* context, std::size_t worker, std::size_t chunk) noexcept = nullptr;
    const void* context = nullptr;
    std::size_t chunks = 0;
    std::atomic<std::size_t> next_chunk{0};
    std::atomic<std::size_t> helpers_inside{0};
    std::size_t places = 0;  // guarded by mutex_, as are the two below
    std::size_t next_worker = 1;
    Job* next = nullptr;

    void work(std::size_t worker) noexcept;
  };

  void run(Job& job) noexcept;
  void release(std::size_t helpers) noexcept;
  bool start_helper() noexcept;
  void help() noexcept;
  [[nodiscard]] Job* take_place(std::size_t& worker) noexcept;
  void remove(Job& job) noexcept;
  void wait_for_helpers(const Job& job) noexcept;

  const std::size_t max_helpers_;
  std::mutex mutex_;
  std::size_t started_ = 0;  // guarded by mutex_, as are the two below
  std::size_t hired_ = 0;
  Job* jobs_ = nullptr;
  EventCount work_;  // a job has places
  EventCount done_;  // a helper has left a job
};

class HelperPool::Crew {
 public:
  Crew(Crew&& other) noexcept : pool_(other.pool_), size_(std::exchange(other.size_, 0)) {}
  Crew& operator=(Crew&&) = delete;
  ~Crew() {
    if (size_ != 0) pool_.release(size_);
  }

  // Helpers, without the caller.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // Dismisses those beyond `helpers`.
  void keep(std::size_t helpers) noexcept {
    if (helpers >= size_) return;
    pool_.release(size_ - helpers);
    size_ = helpers;
  }

  // Calls body(worker, chunk) once for each chunk in [0, chunks); returns when all are done. Calls
  // with one `worker` (0, the caller, to size()) never overlap. What the caller did before is
  // visible to body, and what body did is visible to the caller.
  template <class Body>
  void run(std::size_t chunks, const Body& body) noexcept {
    static_assert(noexcept(body(std::size_t{}, std::size_t{})), "nowhere to throw to");
    Job job;
    job.body = [](const void* context, std::size_t worker, std::size_t chunk) noexcept {
      (*static_cast<const Body*>(context))(worker, chunk);
    };
    job.context = &body;
    job.chunks = chunks;
    job.places = size_;
    pool_.run(job);
  }

 private:
  friend class HelperPool;
  Crew(HelperPool& pool, std::size_t size) noexcept : pool_(pool), size_(size) {}

  HelperPool& pool_;
  std::size_t size_;
};

}  // namespace slipstream
