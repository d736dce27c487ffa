// The state of the fake driver: contexts, what is in them, and the threads that work
// (fake_engine.cc).
//
// Everything is under one mutex but the work itself. Nothing is ever freed but memory: handles stay
// known, so that using a dead one is told and not undefined.
#pragma once

#include <cuda.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

// Where an event was recorded last.
struct FakePoint {
  bool is_done = false;
  std::chrono::steady_clock::time_point at;
};

struct FakeOperation {
  std::function<void()> work;
  std::shared_ptr<FakePoint> point;  // set, or awaited
  bool awaits = false;
};

struct CUctx_st {
  int device = 0;
  bool is_destroyed = false;
  CUresult broken = CUDA_SUCCESS;
};

struct CUgraph_st {
  std::vector<FakeOperation> operations;
};

struct CUgraphExec_st {
  CUcontext context = nullptr;
  bool is_destroyed = false;
  std::vector<FakeOperation> operations;
};

struct CUstream_st {
  CUcontext context = nullptr;
  unsigned int flags = 0;
  bool is_destroyed = false;
  bool is_running = false;
  std::deque<FakeOperation> waiting;
  std::unique_ptr<CUgraph_st> captured;  // while it is captured; by that thread
  std::thread::id captured_by;
  bool is_capture_broken = false;
};

struct CUevent_st {
  CUcontext context = nullptr;
  bool is_timed = false;
  bool is_destroyed = false;
  std::shared_ptr<FakePoint> point;
  bool is_captured = false;  // it was recorded last on a stream that was captured
};

namespace fake {

struct Allocation {
  CUcontext context = nullptr;
  std::size_t bytes = 0;
  bool is_pinned = false;
};

struct Device {
  CUcontext primary = nullptr;
  int retained = 0;
  int contexts = 0;
  std::uint64_t break_after = 0;
  CUresult break_with = CUDA_SUCCESS;
};

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Device> devices{1};
  int driver_version = 13000;
  CUresult init_result = CUDA_SUCCESS;
  bool is_initialized = false;
  bool is_deinitialized = false;
  std::string hidden;
  std::size_t device_bytes = std::size_t{1} << 30U;
  std::size_t pinned_bytes = std::size_t{1} << 30U;
  CUresult new_contexts_broken = CUDA_SUCCESS;
  std::uint64_t blocking_calls = 0;
  std::uint64_t pageable_copies = 0;
  bool has_engines = false;
  std::vector<std::unique_ptr<CUctx_st>> contexts;
  std::vector<std::unique_ptr<CUstream_st>> streams;
  std::vector<std::unique_ptr<CUevent_st>> events;
  std::vector<std::unique_ptr<CUgraphExec_st>> graphs;
  std::map<char*, Allocation> memory;

  // All of the following with the mutex.

  // Whether a call may be made at all, and whether one in the thread's current context may.
  CUresult ready() const;
  CUresult current(CUcontext& context) const;
  CUresult usable(CUstream stream) const;
  CUresult usable(CUevent event) const;

  CUresult retain(int device, CUcontext& context);
  CUresult release(int device);
  void destroy_primary(int device);
  void break_context(CUcontext context, CUresult error);

  CUresult allocate(std::size_t bytes, bool is_pinned, char*& address);
  CUresult free(char* address, bool is_pinned, std::unique_lock<std::mutex>& lock);
  std::size_t used_bytes(int device, bool is_pinned) const;
  bool is_in(const char* address, std::size_t bytes, bool is_pinned) const;

  CUresult put(CUstream stream, FakeOperation operation);
  // What this thread captures is void, where it does what is not allowed meanwhile; and what any
  // thread captures in that context.
  CUresult break_captures(CUcontext everywhere = nullptr);
  bool is_idle(CUcontext context) const;
  void start_engines();
  void run_engine();
};

struct Entry {
  std::string_view name;
  int version;  // that it appeared in, with this type
  void* function;
};
// Those of fake_graphs.cc.
std::span<const Entry> graph_entries();

State& state();
std::vector<CUcontext>& thread_stack();

}  // namespace fake
