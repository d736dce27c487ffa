// Engine: a plan on a device, which all instances of a model there share; and where they get it.
//
// Threads: any, for what is const in TensorRT (describing it, making contexts). Ownership: shared
// with the contexts, which go first.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backends/tensorrt/face.h"
#include "backends/tensorrt/library.h"
#include "core/mapped_file.h"
#include "device/device.h"

namespace slipstream::tensorrt {

class Engine {
 public:
  Engine(std::shared_ptr<device::Device> device, std::unique_ptr<nvinfer1::IRuntime> runtime,
         std::unique_ptr<nvinfer1::ICudaEngine> engine);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  [[nodiscard]] nvinfer1::ICudaEngine& get() const noexcept { return *engine_; }

 private:
  const std::shared_ptr<device::Device> device_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
};

// The plan's file, and the engine that was made of it on one device.
struct Plan {
  std::string name;  // of the file, for messages
  MappedFile file;
  PlanHeader header;
  bool may_run_host_code = false;
};

class EngineSource {
 public:
  EngineSource(const Library& library, std::shared_ptr<device::Device> device,
               std::shared_ptr<const Plan> plan);

  [[nodiscard]] const std::shared_ptr<device::Device>& device() const noexcept { return device_; }
  // Made now, if there is none. See why_not_deserialized(). Throws std::bad_alloc. With the device
  // entered.
  [[nodiscard]] Result<std::shared_ptr<Engine>> engine();
  // Its device is lost: the next who asks gets another one.
  void forget(const std::shared_ptr<Engine>& lost) noexcept;
  // Nothing could be made of it for the caller: where nobody else has it, it ends with the caller's
  // share. It may be that its device is lost, which only TensorRT knows so far.
  void forget_unless_shared(const std::shared_ptr<Engine>& engine) noexcept;

 private:
  [[nodiscard]] Result<std::shared_ptr<Engine>> deserialize() const;

  const Library& library_;
  const std::shared_ptr<device::Device> device_;
  const std::shared_ptr<const Plan> plan_;
  std::mutex mutex_;
  std::shared_ptr<Engine> current_;  // guarded by mutex_
};

// The engine's tensors, with the bounds of the profile that the options name. kInvalidArgument
// where it has no such profile. Throws std::bad_alloc.
[[nodiscard]] Result<std::vector<Described>> describe(const nvinfer1::ICudaEngine& engine,
                                                      const TensorRtOptions& options,
                                                      const std::string& file);

// kInvalidArgument that names an output whose shape depends on what the inputs hold: nobody could
// make room for it before it is computed. Throws std::bad_alloc. With the device entered.
[[nodiscard]] Status check_outputs(nvinfer1::ICudaEngine& engine, const Face& face,
                                   device::Device& device, const std::string& file);

[[nodiscard]] nvinfer1::Dims dims_of(std::span<const std::int64_t> dims) noexcept;

}  // namespace slipstream::tensorrt
