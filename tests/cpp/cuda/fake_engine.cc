// The fake driver's contexts, memory and work.
#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "fake_state.h"

namespace fake {
namespace {

constexpr int kEngines = 3;
constexpr std::size_t kAlignment = 256;

}  // namespace

State& state() {
  static State& the_state = *new State;  // its threads outlive the end of main()
  return the_state;
}

std::vector<CUcontext>& thread_stack() {
  thread_local std::vector<CUcontext> stack;
  return stack;
}

CUresult State::ready() const {
  if (is_deinitialized) return CUDA_ERROR_DEINITIALIZED;
  return is_initialized ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult State::current(CUcontext& context) const {
  if (const CUresult result = ready(); result != CUDA_SUCCESS) return result;
  if (thread_stack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
  context = thread_stack().back();
  return context->is_destroyed ? CUDA_ERROR_CONTEXT_IS_DESTROYED : context->broken;
}

CUresult State::usable(CUstream stream) const {
  CUcontext context = nullptr;
  if (const CUresult result = current(context); result != CUDA_SUCCESS) return result;
  const bool is_known =
      std::ranges::any_of(streams, [&](const auto& one) { return one.get() == stream; });
  return is_known && !stream->is_destroyed && stream->context == context
             ? CUDA_SUCCESS
             : CUDA_ERROR_INVALID_HANDLE;
}

CUresult State::usable(CUevent event) const {
  CUcontext context = nullptr;
  if (const CUresult result = current(context); result != CUDA_SUCCESS) return result;
  const bool is_known =
      std::ranges::any_of(events, [&](const auto& one) { return one.get() == event; });
  return is_known && !event->is_destroyed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult State::retain(int device, CUcontext& context) {
  Device& one = devices[static_cast<std::size_t>(device)];
  if (one.primary == nullptr) {
    contexts.push_back(std::make_unique<CUctx_st>());
    one.primary = contexts.back().get();
    *one.primary = {.device = device, .is_destroyed = false, .broken = new_contexts_broken};
    ++one.contexts;
  }
  ++one.retained;
  context = one.primary;
  return CUDA_SUCCESS;
}

CUresult State::release(int device) {
  Device& one = devices[static_cast<std::size_t>(device)];
  if (one.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--one.retained == 0) destroy_primary(device);
  return CUDA_SUCCESS;
}

// With all that is in it. What runs is waited for by nobody, as on a real device that is reset;
// here its memory must stay until then.
void State::destroy_primary(int device) {
  const CUcontext context =
      std::exchange(devices[static_cast<std::size_t>(device)].primary, nullptr);
  if (context == nullptr) return;
  context->is_destroyed = true;
  for (const auto& stream : streams) {
    if (stream->context != context) continue;
    stream->waiting.clear();
    stream->is_destroyed = true;
  }
  for (const auto& event : events) {
    if (event->context == context) event->is_destroyed = true;
  }
  for (const auto& graph : graphs) {
    if (graph->context == context) graph->is_destroyed = true;
  }
  std::erase_if(memory, [&](const auto& entry) {
    if (entry.second.context != context) return false;
    ::operator delete(entry.first, std::align_val_t{kAlignment});
    return true;
  });
}

void State::break_context(CUcontext context, CUresult error) {
  context->broken = error;
  for (const auto& stream : streams) {
    if (stream->context == context) stream->waiting.clear();
  }
  changed.notify_all();
}

std::size_t State::used_bytes(int device, bool is_pinned) const {
  std::size_t used = 0;
  for (const auto& [address, allocation] : memory) {
    if (allocation.is_pinned != is_pinned) continue;
    if (is_pinned || allocation.context->device == device) used += allocation.bytes;
  }
  return used;
}

CUresult State::allocate(std::size_t bytes, bool is_pinned, char*& address) {
  ++blocking_calls;
  CUcontext context = nullptr;
  if (const CUresult result = current(context); result != CUDA_SUCCESS) return result;
  if (const CUresult result = break_captures(); result != CUDA_SUCCESS) return result;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  const std::size_t limit = is_pinned ? pinned_bytes : device_bytes;
  const std::size_t used = used_bytes(context->device, is_pinned);
  if (used > limit || bytes > limit - used) return CUDA_ERROR_OUT_OF_MEMORY;
  address = static_cast<char*>(::operator new(bytes, std::align_val_t{kAlignment}));
  memory[address] = {.context = context, .bytes = bytes, .is_pinned = is_pinned};
  return CUDA_SUCCESS;
}

// Waits for what is in progress, as the real ones do: something may still use the memory.
CUresult State::free(char* address, bool is_pinned, std::unique_lock<std::mutex>& lock) {
  ++blocking_calls;
  CUcontext context = nullptr;
  if (const CUresult result = current(context); result != CUDA_SUCCESS) return result;
  const auto found = memory.find(address);
  if (found == memory.end() || found->second.is_pinned != is_pinned)
    return CUDA_ERROR_INVALID_VALUE;
  memory.erase(found);
  changed.wait(lock, [&] { return is_idle(context); });
  ::operator delete(address, std::align_val_t{kAlignment});
  return CUDA_SUCCESS;
}

bool State::is_in(const char* address, std::size_t bytes, bool is_pinned) const {
  return std::ranges::any_of(memory, [&](const auto& entry) {
    const auto& [begin, allocation] = entry;
    return allocation.is_pinned == is_pinned && address >= begin &&
           address + bytes <= begin + allocation.bytes;
  });
}

CUresult State::put(CUstream stream, FakeOperation operation) {
  if (const CUresult result = usable(stream); result != CUDA_SUCCESS) return result;
  if (stream->captured != nullptr) {
    stream->captured->operations.push_back(std::move(operation));
    return CUDA_SUCCESS;
  }
  start_engines();
  stream->waiting.push_back(std::move(operation));
  changed.notify_all();
  return CUDA_SUCCESS;
}

CUresult State::break_captures(CUcontext everywhere) {
  CUresult result = CUDA_SUCCESS;
  for (const auto& stream : streams) {
    const bool is_broken =
        stream->context == everywhere || stream->captured_by == std::this_thread::get_id();
    if (stream->captured == nullptr || !is_broken) continue;
    stream->is_capture_broken = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

bool State::is_idle(CUcontext context) const {
  return std::ranges::all_of(streams, [&](const auto& stream) {
    return stream->context != context || (stream->waiting.empty() && !stream->is_running);
  });
}

void State::start_engines() {
  if (std::exchange(has_engines, true)) return;
  for (int i = 0; i < kEngines; ++i) std::thread([this] { run_engine(); }).detach();
}

void State::run_engine() {
  std::unique_lock lock(mutex);
  while (true) {
    const auto may_run = [](const auto& stream) {
      if (stream->is_running || stream->waiting.empty()) return false;
      const FakeOperation& first = stream->waiting.front();
      return !first.awaits || first.point->is_done;
    };
    auto found = streams.end();
    changed.wait(lock,
                 [&] { return (found = std::ranges::find_if(streams, may_run)) != streams.end(); });
    CUstream_st& stream = **found;
    Device& device = devices[static_cast<std::size_t>(stream.context->device)];
    if (device.break_with != CUDA_SUCCESS && device.break_after-- == 0) {
      break_context(stream.context, std::exchange(device.break_with, CUDA_SUCCESS));
      continue;
    }
    const FakeOperation operation = std::move(stream.waiting.front());
    stream.waiting.pop_front();
    stream.is_running = true;
    lock.unlock();
    if (operation.work) operation.work();
    lock.lock();
    stream.is_running = false;
    if (operation.point != nullptr && !operation.awaits) {
      *operation.point = {.is_done = true, .at = std::chrono::steady_clock::now()};
    }
    changed.notify_all();
  }
}

}  // namespace fake
