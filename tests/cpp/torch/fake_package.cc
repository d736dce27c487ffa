// What is in a package of AOTInductor's, of a model that returns what it takes (fake_package.py).
//
// It is held to what a package on a GPU must be: called by the entry that takes no events, which
// may be recorded into a graph, and by one thread at a time.
#include <torch/csrc/inductor/aoti_runtime/interface.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<int> callers{0};

}  // namespace

AOTIRuntimeError AOTInductorModelContainerCreateWithDevice(AOTInductorModelContainerHandle* made,
                                                           size_t models, const char*,
                                                           const char*) {
  *made = nullptr;
  return models == 1 ? AOTI_RUNTIME_SUCCESS : AOTI_RUNTIME_FAILURE;
}
AOTIRuntimeError AOTInductorModelContainerDelete(AOTInductorModelContainerHandle) {
  return AOTI_RUNTIME_SUCCESS;
}
AOTIRuntimeError AOTInductorModelContainerRun(AOTInductorModelContainerHandle, AtenTensorHandle*,
                                              size_t, AtenTensorHandle*, size_t,
                                              AOTInductorStreamHandle, AOTIProxyExecutorHandle) {
  return AOTI_RUNTIME_FAILURE;
}
AOTIRuntimeError AOTInductorModelContainerRunSingleThreaded(AOTInductorModelContainerHandle,
                                                            AtenTensorHandle* inputs, size_t count,
                                                            AtenTensorHandle* outputs, size_t,
                                                            AOTInductorStreamHandle,
                                                            AOTIProxyExecutorHandle) {
  const bool is_alone = callers.fetch_add(1) == 0;
  std::this_thread::sleep_for(std::chrono::microseconds(200));  // for others to come meanwhile
  std::copy_n(inputs, count, outputs);
  callers.fetch_sub(1);
  return is_alone ? AOTI_RUNTIME_SUCCESS : AOTI_RUNTIME_FAILURE;
}
AOTIRuntimeError AOTInductorModelContainerGetNumOutputs(AOTInductorModelContainerHandle,
                                                        size_t* count) {
  *count = 1;
  return AOTI_RUNTIME_SUCCESS;
}
AOTIRuntimeError AOTInductorModelContainerGetNumConstants(AOTInductorModelContainerHandle,
                                                          size_t* count) {
  *count = 0;
  return AOTI_RUNTIME_SUCCESS;
}

extern "C" AOTI_API AOTIRuntimeError AOTInductorGetLastError(const char** message) {
  *message = "";
  return AOTI_RUNTIME_SUCCESS;
}

// Those that a package has to have, in one version of torch or another, and that nobody calls.
#define UNUSED_ENTRY(name, ...)                            \
  extern "C" AOTI_API AOTIRuntimeError name(__VA_ARGS__) { \
    return AOTI_RUNTIME_FAILURE;                           \
  }
UNUSED_ENTRY(AOTInductorModelContainerUpdateConstantBufferFromCpu, AOTInductorModelContainerHandle,
             AOTInductorConstantMapHandle, bool, bool)
UNUSED_ENTRY(AOTInductorModelContainerGetConstantsBlobSize, AOTInductorModelContainerHandle,
             uint64_t*)
UNUSED_ENTRY(AOTInductorModelUpdateConstantsFromBlob, AOTInductorModelContainerHandle,
             const uint8_t*)
UNUSED_ENTRY(AOTInductorModelContainerGetConstantName, AOTInductorModelContainerHandle, size_t,
             const char**)
UNUSED_ENTRY(AOTInductorModelContainerGetConstantOriginalFQN, AOTInductorModelContainerHandle,
             size_t, const char**)
UNUSED_ENTRY(AOTInductorModelContainerGetConstantDtype, AOTInductorModelContainerHandle, size_t,
             int32_t*)
UNUSED_ENTRY(AOTInductorModelContainerUpdateConstantBuffer, AOTInductorModelContainerHandle,
             AOTInductorConstantMapHandle, bool, bool)
UNUSED_ENTRY(AOTInductorModelContainerUpdateUserManagedConstantBuffer,
             AOTInductorModelContainerHandle, AOTInductorConstantMapHandle, bool, bool)
UNUSED_ENTRY(AOTInductorModelContainerUpdateInactiveConstantBuffer, AOTInductorModelContainerHandle,
             AOTInductorConstantMapHandle)
UNUSED_ENTRY(AOTInductorModelContainerFreeInactiveConstantBuffer, AOTInductorModelContainerHandle)
UNUSED_ENTRY(AOTInductorModelContainerExtractConstantsMap, AOTInductorModelContainerHandle,
             AOTInductorConstantMapHandle, bool)
UNUSED_ENTRY(AOTInductorModelContainerRunConstantFolding, AOTInductorModelContainerHandle, bool,
             AOTInductorStreamHandle, AOTIProxyExecutorHandle)
UNUSED_ENTRY(AOTInductorModelContainerSwapConstantBuffer, AOTInductorModelContainerHandle)
UNUSED_ENTRY(AOTInductorModelContainerGetCallSpec, AOTInductorModelContainerHandle, const char**,
             const char**)
