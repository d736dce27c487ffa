// Engine: a plan on a device, which all instances of a model share; and where they get it.
//
// Threads: any, for what is const in TensorRT (describing it, making contexts). Ownership: shared
// with the contexts, which go first. An engine whose device was lost is left alone instead of being
// destroyed: its memory went with the device, and giving the addresses back could hit what has got
// them since. It is then kept for as long as the process lives; a loss is rare, and mostly the end
// of that.
#pragma once

#include <NvInferRuntime.h>

#include <atomic>
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
  // Its device was lost: see above.
  void abandon() noexcept { is_abandoned_.store(true); }
  // Takes a context of this engine, to destroy it, or to leave it alone as the engine is.
  void give_up(std::unique_ptr<nvinfer1::IExecutionContext> context) const noexcept;

 private:
  const std::shared_ptr<device::Device> device_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::atomic<bool> is_abandoned_{false};
};

// The plan's file, and the engine that was made of it last.
class EngineSource {
 public:
  struct Plan {
    std::string name;  // of the file, for messages
    MappedFile file;
    PlanHeader header;
    bool may_run_host_code = false;
  };

  EngineSource(const Library& library, std::shared_ptr<device::Device> device, Plan plan);

  // Another one than `lost`, which is the one that the caller has, or null. See
  // why_not_deserialized(). Throws std::bad_alloc. With the device entered.
  [[nodiscard]] Result<std::shared_ptr<Engine>> other_than(const std::shared_ptr<Engine>& lost);

 private:
  [[nodiscard]] Result<std::shared_ptr<Engine>> deserialize() const;

  const Library& library_;
  const std::shared_ptr<device::Device> device_;
  const Plan plan_;
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
