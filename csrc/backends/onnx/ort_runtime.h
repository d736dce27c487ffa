// Runtime: ONNX Runtime's library, opened and checked, with the objects all models share.
//
// One per process. The first library that passes its checks is the process's; it is never closed,
// because tensors that it allocated may outlive every model. Asking for another one afterwards is
// an error, not a second copy with thread pools of its own.
// Threads: any; open() locks, a Runtime is immutable. Ownership: immortal. Failure: a Status.
#pragma once

#include <string>

#include "backends/onnx/ort_abi.h"
#include "core/status.h"

namespace slipstream::onnx {

struct Runtime {
  Api api{};
  PluginApi plugins{};                  // all null before ONNX Runtime 1.22
  LocationApi locations{};              // all null before ONNX Runtime 1.23
  std::string version;                  // "1.31.1"
  std::string path;                     // of the library, links resolved
  OrtEnv* env = nullptr;                // logs nowhere: what matters is in the Status of each call
  OrtMemoryInfo* cpu_memory = nullptr;  // describes memory of ours that tensors may wrap
  OrtAllocator* allocator = nullptr;    // for names and string tensors

  // Throws std::bad_alloc.
  //   kNotFound            no file at `path`
  //   kFailedPrecondition  it does not open, is no ONNX Runtime, is too old, or fails its
  //   self-test;
  //                        or the process already uses another one
  [[nodiscard]] static Result<const Runtime*> open(const std::string& path);

  // The one that open() returned in this process; null before.
  [[nodiscard]] static const Runtime* current() noexcept;
};

}  // namespace slipstream::onnx
