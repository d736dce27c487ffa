// NVIDIA's driver, opened at run time: nothing of CUDA is linked, so that one build runs on
// machines with and without it, and on every driver from CUDA 12.0 on.
//
// A function is its name, its version and its signature. They are listed here and nowhere else: the
// version asks the driver for exactly the function whose type NVIDIA's header gives that version,
// whatever newer ones header and driver have.
//
// When to use: inside csrc/cuda, and by its tests. Threads: any. Ownership: the driver lives to the
// end of the process; unloading it would leave its threads without code.
// Failure: open() tells by its Status; nothing is remembered of a failure, so it may be tried
// again. A process that was forked from one with the driver open is refused: CUDA does not survive
// a fork.
#pragma once

#include <cudaTypedefs.h>

#include <string>

#include "core/status.h"

namespace slipstream::cuda {

inline constexpr const char* kDriverLibrary = "libcuda.so.1";
inline constexpr int kOldestCuda = 12000;

// FUNCTION(member, name, version)
// clang-format off
#define SLIPSTREAM_CUDA_FUNCTIONS(FUNCTION)                                   \
  FUNCTION(init, cuInit, 2000)                                                \
  FUNCTION(get_error_name, cuGetErrorName, 6000)                              \
  FUNCTION(get_error_string, cuGetErrorString, 6000)                          \
  FUNCTION(device_get_count, cuDeviceGetCount, 2000)                          \
  FUNCTION(device_get, cuDeviceGet, 2000)                                     \
  FUNCTION(device_get_name, cuDeviceGetName, 2000)                            \
  FUNCTION(device_get_attribute, cuDeviceGetAttribute, 2000)                  \
  FUNCTION(device_get_pci_bus_id, cuDeviceGetPCIBusId, 4010)                  \
  FUNCTION(device_total_mem, cuDeviceTotalMem, 3020)                          \
  FUNCTION(primary_ctx_retain, cuDevicePrimaryCtxRetain, 7000)                \
  FUNCTION(primary_ctx_release, cuDevicePrimaryCtxRelease, 11000)             \
  FUNCTION(primary_ctx_get_state, cuDevicePrimaryCtxGetState, 7000)           \
  FUNCTION(ctx_push_current, cuCtxPushCurrent, 4000)                          \
  FUNCTION(ctx_pop_current, cuCtxPopCurrent, 4000)                            \
  FUNCTION(ctx_synchronize, cuCtxSynchronize, 2000)                           \
  FUNCTION(stream_create, cuStreamCreate, 2000)                               \
  FUNCTION(stream_destroy, cuStreamDestroy, 4000)                             \
  FUNCTION(stream_wait_event, cuStreamWaitEvent, 3020)                        \
  FUNCTION(launch_host_func, cuLaunchHostFunc, 10000)                         \
  FUNCTION(stream_begin_capture, cuStreamBeginCapture, 10010)                 \
  FUNCTION(stream_end_capture, cuStreamEndCapture, 10000)                     \
  FUNCTION(graph_destroy, cuGraphDestroy, 10000)                              \
  FUNCTION(graph_instantiate, cuGraphInstantiateWithFlags, 11040)             \
  FUNCTION(graph_exec_destroy, cuGraphExecDestroy, 10000)                     \
  FUNCTION(graph_launch, cuGraphLaunch, 10000)                                \
  FUNCTION(event_create, cuEventCreate, 2000)                                 \
  FUNCTION(event_destroy, cuEventDestroy, 4000)                               \
  FUNCTION(event_record, cuEventRecord, 2000)                                 \
  FUNCTION(event_query, cuEventQuery, 2000)                                   \
  FUNCTION(event_elapsed_time, cuEventElapsedTime, 2000)                      \
  FUNCTION(mem_alloc, cuMemAlloc, 3020)                                       \
  FUNCTION(mem_free, cuMemFree, 3020)                                         \
  FUNCTION(mem_host_alloc, cuMemHostAlloc, 2020)                              \
  FUNCTION(mem_free_host, cuMemFreeHost, 2000)                                \
  FUNCTION(mem_get_info, cuMemGetInfo, 3020)                                  \
  FUNCTION(memcpy_to_device, cuMemcpyHtoDAsync, 3020)                         \
  FUNCTION(memcpy_to_host, cuMemcpyDtoHAsync, 3020)
// clang-format on

struct Functions {
#define SLIPSTREAM_CUDA_MEMBER(member, name, version) PFN_##name##_v##version member = nullptr;
  SLIPSTREAM_CUDA_FUNCTIONS(SLIPSTREAM_CUDA_MEMBER)
#undef SLIPSTREAM_CUDA_MEMBER
};

struct Driver {
  Functions call;
  std::string path;      // as it was given to dlopen
  int cuda_version = 0;  // the newest CUDA that it speaks: 13000 is 13.0
  int devices = 0;       // at least one

  // The driver that this process runs, or else the system's.
  [[nodiscard]] static Result<const Driver*> open();
  // That one, and no other: kFailedPrecondition where another one runs already.
  [[nodiscard]] static Result<const Driver*> open(const std::string& path);
};

}  // namespace slipstream::cuda
