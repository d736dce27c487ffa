// Library: TensorRT's runtime, opened and checked.
//
// One per process, and of the major version whose headers this was compiled with: what it hands out
// are C++ objects, whose layout changes with the major version only. The first that passes is the
// process's and is never closed; another one asked for afterwards is an error. Of the library only
// the entry that makes a runtime and the one that tells the version are resolved; it brings its own
// CUDA runtime.
//
// Threads: any; open() locks, a Library is immutable. Ownership: immortal. Failure: a Status.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "backends/tensorrt/plan_header.h"
#include "backends/tensorrt/refusal.h"
#include "core/status.h"

namespace slipstream::tensorrt {

class Library {
 public:
  // `path`: a library's file; empty: the full runtime, else the lean one, by name. Throws
  // std::bad_alloc.
  //   kNotFound            there is none
  //   kFailedPrecondition  it does not open, is no TensorRT, or of another major version; or the
  //                        process already uses another one
  [[nodiscard]] static Result<const Library*> open(const std::string& path);

  // The one that open() returned in this process; null before.
  [[nodiscard]] static const Library* current() noexcept;

  [[nodiscard]] const Version& version() const noexcept { return facts_.version; }
  // With that device for what is loaded on it.
  [[nodiscard]] RuntimeFacts facts(std::string device) const;

  // kUnavailable where TensorRT does not start, as with a driver that is too old for it; says what
  // it said. Throws std::bad_alloc. With the device entered.
  [[nodiscard]] Result<std::unique_ptr<nvinfer1::IRuntime>> create_runtime() const;

 private:
  using Create = void* (*)(void* logger, std::int32_t version) noexcept;

  Library(RuntimeFacts facts, Create create);
  [[nodiscard]] static Result<std::unique_ptr<Library>> load(const std::string& path);

  const RuntimeFacts facts_;
  const Create create_;
};

}  // namespace slipstream::tensorrt
