// The fake driver's graphs: what a stream is given while it is captured is kept, and put on it at
// every launch.
#include <cudaTypedefs.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "fake_state.h"

namespace fake {
namespace {

using Lock = std::scoped_lock<std::mutex>;

CUresult begin_capture(CUstream stream, CUstreamCaptureMode mode) {
  const Lock lock(state().mutex);
  if (const CUresult result = state().usable(stream); result != CUDA_SUCCESS) return result;
  if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) return CUDA_ERROR_NOT_SUPPORTED;
  if (stream->captured != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  stream->captured = std::make_unique<CUgraph_st>();
  stream->captured_by = std::this_thread::get_id();
  stream->is_capture_broken = false;
  return CUDA_SUCCESS;
}

CUresult end_capture(CUstream stream, CUgraph* graph) {
  const Lock lock(state().mutex);
  *graph = nullptr;
  if (const CUresult result = state().usable(stream); result != CUDA_SUCCESS) return result;
  if (stream->captured == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  if (stream->captured_by != std::this_thread::get_id()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  const std::unique_ptr<CUgraph_st> captured = std::exchange(stream->captured, nullptr);
  if (stream->is_capture_broken) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = new CUgraph_st(*captured);
  return CUDA_SUCCESS;
}

CUresult destroy(CUgraph graph) {
  const std::unique_ptr<CUgraph_st> owned(graph);
  return graph != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult instantiate(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  auto made = std::make_unique<CUgraphExec_st>();
  made->context = context;
  made->operations = graph->operations;
  *executable = made.get();
  state().graphs.push_back(std::move(made));
  return CUDA_SUCCESS;
}

CUresult destroy_executable(CUgraphExec executable) {
  const Lock lock(state().mutex);
  CUcontext context = nullptr;
  if (const CUresult result = state().current(context); result != CUDA_SUCCESS) return result;
  if (executable->is_destroyed) return CUDA_ERROR_INVALID_HANDLE;
  executable->is_destroyed = true;
  return CUDA_SUCCESS;
}

CUresult launch(CUgraphExec executable, CUstream stream) {
  const Lock lock(state().mutex);
  if (executable->is_destroyed) return CUDA_ERROR_INVALID_HANDLE;
  for (const FakeOperation& operation : executable->operations) {
    if (const CUresult result = state().put(stream, operation); result != CUDA_SUCCESS) {
      return result;
    }
  }
  return state().usable(stream);
}

#define ENTRY(function, name, version)                                                       \
  Entry {                                                                                    \
    #name, version, reinterpret_cast<void*>(static_cast<PFN_##name##_v##version>(&function)) \
  }

const std::array<Entry, 6> kGraphEntries{
    ENTRY(begin_capture, cuStreamBeginCapture, 10010),
    ENTRY(end_capture, cuStreamEndCapture, 10000),
    ENTRY(destroy, cuGraphDestroy, 10000),
    ENTRY(instantiate, cuGraphInstantiateWithFlags, 11040),
    ENTRY(destroy_executable, cuGraphExecDestroy, 10000),
    ENTRY(launch, cuGraphLaunch, 10000),
};

}  // namespace

std::span<const Entry> graph_entries() {
  return kGraphEntries;
}

}  // namespace fake
