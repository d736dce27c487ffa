// libcuda.so.1 for tests: the functions that slipstream resolves, on fake_engine.cc, by the same
// rules as NVIDIA's driver where they matter here. Their types are checked by NVIDIA's header.
#include <cudaTypedefs.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "fake_cuda.h"
#include "fake_state.h"

namespace {

using fake::state;
using fake::thread_stack;
using Lock = std::scoped_lock<std::mutex>;

CUresult init(unsigned int flags) {
  const Lock lock(state().mutex);
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (state().init_result != CUDA_SUCCESS) return state().init_result;
  if (state().devices.empty()) return CUDA_ERROR_NO_DEVICE;
  state().is_initialized = true;
  return CUDA_SUCCESS;
}

CUresult get_error_name(CUresult error, const char** text) {
  *text = nullptr;
  switch (error) {
#define NAME(error) \
  case error:       \
    *text = #error; \
    return CUDA_SUCCESS
    NAME(CUDA_ERROR_INVALID_VALUE);
    NAME(CUDA_ERROR_OUT_OF_MEMORY);
    NAME(CUDA_ERROR_NOT_INITIALIZED);
    NAME(CUDA_ERROR_DEINITIALIZED);
    NAME(CUDA_ERROR_NO_DEVICE);
    NAME(CUDA_ERROR_INVALID_CONTEXT);
    NAME(CUDA_ERROR_ECC_UNCORRECTABLE);
    NAME(CUDA_ERROR_INVALID_HANDLE);
    NAME(CUDA_ERROR_ILLEGAL_ADDRESS);
    NAME(CUDA_ERROR_CONTEXT_IS_DESTROYED);
    NAME(CUDA_ERROR_LAUNCH_FAILED);
    NAME(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    NAME(CUDA_ERROR_NOT_SUPPORTED);
#undef NAME
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult get_error_string(CUresult error, const char** text) {
  const CUresult result = get_error_name(error, text);
  if (result == CUDA_SUCCESS) *text = "as the fake driver puts it";
  return result;
}

CUresult device_get_count(int* count) {
  const Lock lock(state().mutex);
  *count = static_cast<int>(state().devices.size());
  return state().ready();
}

bool is_device(int device) {
  return device >= 0 && static_cast<std::size_t>(device) < state().devices.size();
}

CUresult device_get(CUdevice* device, int index) {
  const Lock lock(state().mutex);
  *device = index;
  return is_device(index) ? state().ready() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult write_text(std::string_view text, char* to, int size) {
  if (static_cast<std::size_t>(size) <= text.size()) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = '\0';
  return CUDA_SUCCESS;
}

CUresult device_get_name(char* name, int size, CUdevice device) {
  const Lock lock(state().mutex);
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  return write_text("Fake H100", name, size);
}

CUresult device_get_pci_bus_id(char* id, int size, CUdevice device) {
  const Lock lock(state().mutex);
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  return write_text("0000:3B:0" + std::to_string(device) + ".0", id, size);
}

CUresult device_get_attribute(int* value, CUdevice_attribute which, CUdevice device) {
  const Lock lock(state().mutex);
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = 9;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = 0;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = 114;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      *value = 3;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult device_total_mem(std::size_t* bytes, CUdevice device) {
  const Lock lock(state().mutex);
  *bytes = state().device_bytes;
  return is_device(device) ? state().ready() : CUDA_ERROR_INVALID_DEVICE;
}

CUresult primary_ctx_retain(CUcontext* context, CUdevice device) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().ready(); result != CUDA_SUCCESS) return result;
  return is_device(device) ? state().retain(device, *context) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult primary_ctx_release(CUdevice device) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().ready(); result != CUDA_SUCCESS) return result;
  return is_device(device) ? state().release(device) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult primary_ctx_get_state(CUdevice device, unsigned int* flags, int* is_active) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().ready(); result != CUDA_SUCCESS) return result;
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *flags = 0;
  *is_active = state().devices[static_cast<std::size_t>(device)].primary != nullptr ? 1 : 0;
  return CUDA_SUCCESS;
}

CUresult ctx_push_current(CUcontext context) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().ready(); result != CUDA_SUCCESS) return result;
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (context->is_destroyed) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  thread_stack().push_back(context);
  return CUDA_SUCCESS;
}

CUresult ctx_pop_current(CUcontext* context) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().ready(); result != CUDA_SUCCESS) return result;
  if (thread_stack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *context = thread_stack().back();
  thread_stack().pop_back();
  return CUDA_SUCCESS;
}

CUresult ctx_synchronize() {
  std::unique_lock lock(state().mutex);
  ++state().blocking_calls;
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  if (const CUresult result = state().break_captures(context); result != CUDA_SUCCESS) {
    return result;
  }
  state().changed.wait(lock, [&] { return state().is_idle(context); });
  return state().current(context);
}

CUresult stream_create(CUstream* stream, unsigned int flags) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  auto made = std::make_unique<CUstream_st>();
  made->context = context;
  made->flags = flags;
  *stream = made.get();
  state().streams.push_back(std::move(made));
  return CUDA_SUCCESS;
}

// What is on it is still done.
CUresult stream_destroy(CUstream stream) {
  const Lock lock(state().mutex);
  const CUresult result = state().usable(stream);
  if (result == CUDA_SUCCESS) stream->is_destroyed = true;
  return result;
}

CUresult stream_wait_event(CUstream stream, CUevent event, unsigned int flags) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().usable(event); result != CUDA_SUCCESS) return result;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (event->point == nullptr) return state().usable(stream);
  return state().put(stream, {.work = {}, .point = event->point, .awaits = true});
}

CUresult launch_host_func(CUstream stream, CUhostFn function, void* argument) {
  const Lock lock(state().mutex);
  return state().put(stream, {.work = [function, argument] { function(argument); }, .point = {}});
}

CUresult event_create(CUevent* event, unsigned int flags) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  auto made = std::make_unique<CUevent_st>();
  made->context = context;
  made->is_timed = (flags & CU_EVENT_DISABLE_TIMING) == 0;
  *event = made.get();
  state().events.push_back(std::move(made));
  return CUDA_SUCCESS;
}

CUresult event_destroy(CUevent event) {
  const Lock lock(state().mutex);
  const CUresult result = state().usable(event);
  if (result == CUDA_SUCCESS) event->is_destroyed = true;
  return result;
}

CUresult event_record(CUevent event, CUstream stream) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().usable(event); result != CUDA_SUCCESS) return result;
  if (const CUresult result = state().usable(stream); result != CUDA_SUCCESS) return result;
  if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  event->point = std::make_shared<FakePoint>();
  event->is_captured = stream->captured != nullptr;
  return state().put(stream, {.work = {}, .point = event->point});
}

CUresult event_query(CUevent event) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().usable(event); result != CUDA_SUCCESS) return result;
  if (event->is_captured) return CUDA_ERROR_CAPTURED_EVENT;
  const bool is_done = event->point == nullptr || event->point->is_done;
  return is_done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult event_elapsed_time(float* elapsed_ms, CUevent begin, CUevent end) {
  const Lock lock(state().mutex);
  for (const CUevent event : {begin, end}) {
    if (const CUresult result = state().usable(event); result != CUDA_SUCCESS) return result;
    if (!event->is_timed || event->point == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!begin->point->is_done || !end->point->is_done) return CUDA_ERROR_NOT_READY;
  *elapsed_ms = std::chrono::duration<float, std::milli>(end->point->at - begin->point->at).count();
  return CUDA_SUCCESS;
}

CUresult mem_alloc(CUdeviceptr* address, std::size_t bytes) {
  const Lock lock(state().mutex);
  char* memory = nullptr;
  const CUresult result = state().allocate(bytes, false, memory);
  *address = reinterpret_cast<CUdeviceptr>(memory);
  return result;
}

CUresult mem_free(CUdeviceptr address) {
  std::unique_lock lock(state().mutex);
  return state().free(reinterpret_cast<char*>(address), false, lock);
}

CUresult mem_host_alloc(void** address, std::size_t bytes, unsigned int flags) {
  const Lock lock(state().mutex);
  if (flags != CU_MEMHOSTALLOC_PORTABLE) return CUDA_ERROR_NOT_SUPPORTED;
  char* memory = nullptr;
  const CUresult result = state().allocate(bytes, true, memory);
  *address = memory;
  return result;
}

CUresult mem_free_host(void* address) {
  std::unique_lock lock(state().mutex);
  return state().free(static_cast<char*>(address), true, lock);
}

CUresult mem_get_info(std::size_t* free_bytes, std::size_t* total_bytes) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  *total_bytes = state().device_bytes;
  *free_bytes = state().device_bytes - state().used_bytes(context->device, false);
  return CUDA_SUCCESS;
}

CUresult copy(const char* on_device, char* to, const char* from, std::size_t bytes,
              CUstream stream) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().usable(stream); result != CUDA_SUCCESS) return result;
  if (!state().is_in(on_device, bytes, false)) return CUDA_ERROR_INVALID_VALUE;
  const char* const on_host = on_device == to ? from : to;
  state().pageable_copies += state().is_in(on_host, bytes, true) ? 0U : 1U;
  return state().put(stream,
                     {.work = [to, from, bytes] { std::memcpy(to, from, bytes); }, .point = {}});
}

CUresult memcpy_to_device(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  auto* const address = reinterpret_cast<char*>(to);
  return copy(address, address, static_cast<const char*>(from), bytes, stream);
}

CUresult memcpy_to_host(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  const auto* const address = reinterpret_cast<const char*>(from);
  return copy(address, static_cast<char*>(to), address, bytes, stream);
}

using fake::Entry;

#define ENTRY(function, name, version)                                                       \
  Entry {                                                                                    \
    #name, version, reinterpret_cast<void*>(static_cast<PFN_##name##_v##version>(&function)) \
  }

const Entry kEntries[] = {
    ENTRY(init, cuInit, 2000),
    ENTRY(get_error_name, cuGetErrorName, 6000),
    ENTRY(get_error_string, cuGetErrorString, 6000),
    ENTRY(device_get_count, cuDeviceGetCount, 2000),
    ENTRY(device_get, cuDeviceGet, 2000),
    ENTRY(device_get_name, cuDeviceGetName, 2000),
    ENTRY(device_get_attribute, cuDeviceGetAttribute, 2000),
    ENTRY(device_get_pci_bus_id, cuDeviceGetPCIBusId, 4010),
    ENTRY(device_total_mem, cuDeviceTotalMem, 3020),
    ENTRY(primary_ctx_retain, cuDevicePrimaryCtxRetain, 7000),
    ENTRY(primary_ctx_release, cuDevicePrimaryCtxRelease, 11000),
    ENTRY(primary_ctx_get_state, cuDevicePrimaryCtxGetState, 7000),
    ENTRY(ctx_push_current, cuCtxPushCurrent, 4000),
    ENTRY(ctx_pop_current, cuCtxPopCurrent, 4000),
    ENTRY(ctx_synchronize, cuCtxSynchronize, 2000),
    ENTRY(stream_create, cuStreamCreate, 2000),
    ENTRY(stream_destroy, cuStreamDestroy, 4000),
    ENTRY(stream_wait_event, cuStreamWaitEvent, 3020),
    ENTRY(launch_host_func, cuLaunchHostFunc, 10000),
    ENTRY(event_create, cuEventCreate, 2000),
    ENTRY(event_destroy, cuEventDestroy, 4000),
    ENTRY(event_record, cuEventRecord, 2000),
    ENTRY(event_query, cuEventQuery, 2000),
    ENTRY(event_elapsed_time, cuEventElapsedTime, 2000),
    ENTRY(mem_alloc, cuMemAlloc, 3020),
    ENTRY(mem_free, cuMemFree, 3020),
    ENTRY(mem_host_alloc, cuMemHostAlloc, 2020),
    ENTRY(mem_free_host, cuMemFreeHost, 2000),
    ENTRY(mem_get_info, cuMemGetInfo, 3020),
    ENTRY(memcpy_to_device, cuMemcpyHtoDAsync, 3020),
    ENTRY(memcpy_to_host, cuMemcpyDtoHAsync, 3020),
};

}  // namespace

// The functions that a driver exports under one name for all versions, and the one that gives out
// the others. The header's names are macros for the newest version's.
FAKE_CUDA_API CUresult cuDriverGetVersion(int* version) {
  const Lock lock(state().mutex);
  *version = state().driver_version;
  return CUDA_SUCCESS;
}

#undef cuGetProcAddress
FAKE_CUDA_API CUresult cuGetProcAddress_v2(const char* name, void** function, int version,
                                           cuuint64_t flags,
                                           CUdriverProcAddressQueryResult* outcome) {
  const Lock lock(state().mutex);
  *function = nullptr;
  *outcome = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (flags != CU_GET_PROC_ADDRESS_LEGACY_STREAM) return CUDA_ERROR_INVALID_VALUE;
  for (const std::span<const Entry> entries :
       {std::span<const Entry>(kEntries), fake::graph_entries()}) {
    const auto found = std::ranges::find(entries, std::string_view(name), &Entry::name);
    if (found == entries.end() || state().hidden == name) continue;
    // A newer version than we have may have another type.
    if (version != found->version) {
      *outcome = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
      return CUDA_ERROR_NOT_FOUND;
    }
    *function = found->function;
    *outcome = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}
