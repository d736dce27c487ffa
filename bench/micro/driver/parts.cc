// Loops over single parts of the core: the ring beside its twin under a mutex, forming a batch,
// ending requests. Each returns nanoseconds, or -1 when something came out wrong.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bindings/completion_queue.h"
#include "core/batch/batcher.h"
#include "core/request_pool.h"
#include "core/sync/mpmc_ring.h"
#include "core/sync/mutex_ring.h"
#include "export.h"

namespace {

using namespace slipstream;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRingCapacity = 1024;
constexpr std::uint64_t kShapeKey = 1;

std::int64_t since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

// One thread that pushes a value and pops it again.
template <class Ring>
std::int64_t time_alone(std::int64_t values) {
  Ring ring(kRingCapacity);
  std::int64_t sum = 0;
  const Clock::time_point begin = Clock::now();
  for (std::int64_t i = 0; i < values; ++i) {
    std::int64_t out = 0;
    if (!ring.try_push(i) || !ring.try_pop(out)) return -1;
    sum += out;
  }
  const std::int64_t elapsed = since(begin);
  return sum == values * (values - 1) / 2 ? elapsed : -1;
}

// `pairs` threads push and as many pop, each its share of the values.
template <class Ring>
std::int64_t time_pairs(std::int64_t pairs, std::int64_t values) {
  Ring ring(kRingCapacity);
  const std::int64_t share = values / pairs;
  std::atomic<std::int64_t> sum{0};
  const auto push = [&ring, share](std::int64_t number) {
    for (std::int64_t i = number * share; i < (number + 1) * share; ++i) {
      while (!ring.try_push(i)) std::this_thread::yield();
    }
  };
  const auto pop = [&ring, &sum, share] {
    std::int64_t mine = 0;
    for (std::int64_t i = 0; i < share; ++i) {
      std::int64_t out = 0;
      while (!ring.try_pop(out)) std::this_thread::yield();
      mine += out;
    }
    sum.fetch_add(mine);
  };
  const Clock::time_point begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::int64_t i = 0; i < pairs; ++i) {
      threads.emplace_back(push, i);
      threads.emplace_back(pop);
    }
  }
  const std::int64_t elapsed = since(begin);
  const std::int64_t moved = share * pairs;
  return sum.load() == moved * (moved - 1) / 2 ? elapsed : -1;
}

template <class Ring>
std::int64_t time_ring(std::int64_t pairs, std::int64_t values) {
  return pairs == 0 ? time_alone<Ring>(values) : time_pairs<Ring>(pairs, values);
}

}  // namespace

SLIPSTREAM_BENCH_EXPORT std::int64_t time_mpmc_ring(std::int64_t pairs, std::int64_t values) {
  return time_ring<MpmcRing<std::int64_t>>(pairs, values);
}

SLIPSTREAM_BENCH_EXPORT std::int64_t time_mutex_ring(std::int64_t pairs, std::int64_t values) {
  return time_ring<MutexRing<std::int64_t>>(pairs, values);
}

// Admits `requests` of one row, half of them of low priority, and forms the batch of all of them.
SLIPSTREAM_BENCH_EXPORT std::int64_t time_batcher(std::int64_t requests, std::int64_t calls) {
  RequestPool pool(static_cast<std::uint32_t>(requests));
  RelaxedCounter abandoned;
  LatencyModel latency;
  Batcher batcher(pool, {.max_batch_rows = requests, .policy = {}}, latency, abandoned);
  Batch batch;
  const Clock::time_point begin = Clock::now();
  for (std::int64_t call = 0; call < calls; ++call) {
    const Nanoseconds now = now_ns();
    for (std::int64_t i = 0; i < requests; ++i) {
      Request* const request = pool.acquire();
      if (request == nullptr) return -1;
      request->options = {.priority = i % 2 == 0 ? kNormalPriority : kLowPriority};
      request->rows = 1;
      request->shape_key = kShapeKey;
      request->accepted_ns = now;
      (void)pool.open(*request);
      if (!batcher.try_push(*request)) return -1;
    }
    if (!batcher.form(batch, now) || batch.rows != requests) return -1;
    for (const BatchPart& part : batch.parts) pool.release(*part.request);
  }
  return since(begin);
}

// Ends `requests` that share a sink, and drains it, as a worker and the event loop do.
SLIPSTREAM_BENCH_EXPORT std::int64_t time_completion(std::int64_t requests, std::int64_t calls) {
  RequestPool pool(static_cast<std::uint32_t>(requests));
  const auto queue = std::make_shared<bindings::CompletionQueue>();
  std::vector<Request*> pending(static_cast<std::size_t>(requests));
  std::vector<bindings::CompletionQueue::Item> ended;
  const Clock::time_point begin = Clock::now();
  for (std::int64_t call = 0; call < calls; ++call) {
    for (Request*& request : pending) {
      request = pool.acquire();
      if (request == nullptr) return -1;
      request->sink = queue;
      (void)pool.open(*request);
    }
    for (Request* const request : pending) {
      if (!request->lifecycle.claim()) return -1;
      (void)request->sink->complete(request->tag, Response{});
    }
    queue->flush();
    queue->drain(ended);
    if (ended.size() != pending.size()) return -1;
    for (Request* const request : pending) pool.release(*request);
  }
  return since(begin);
}
