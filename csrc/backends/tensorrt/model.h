// TensorRtModel: a plan that was loaded onto one GPU or several, and what it takes and gives.
//
// Its instances are on device::DeviceInstance, each with a pipeline and execution contexts of its
// own; the engine, which has the weights, those on one GPU share.
// Threads: any; immutable after load. Ownership: instances are destroyed before the model, tensors
// they returned may outlive it. Failure: see load_tensorrt_model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/tensorrt/engine.h"
#include "backends/tensorrt/face.h"
#include "core/backend.h"
#include "device/places.h"

namespace slipstream::tensorrt {

class TensorRtModel final : public Model {
 public:
  TensorRtModel(std::vector<std::shared_ptr<EngineSource>> sources, Face face, std::string file,
                const TensorRtOptions& options);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return face_.spec; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;

 private:
  const std::vector<std::shared_ptr<EngineSource>> sources_;  // one for each device
  const Face face_;
  const std::string file_;
  const std::size_t slots_;
  const std::int64_t graph_rows_;
  device::Places places_;
};

// The device of that index. Beside it stands what opens it, so that tests can give another one.
using OpenDevice = Result<std::shared_ptr<device::Device>> (*)(int index) noexcept;

// Throws std::bad_alloc.
//   kInvalidArgument     a bad option; a file that is no plan, is damaged, or takes or gives what
//                        slipstream cannot serve
//   kNotFound            no file there, no TensorRT, no driver of NVIDIA's, or no such GPU
//   kFailedPrecondition  the driver or the library cannot be used, or the plan is not for that
//                        library or for this GPU
//   kUnavailable         TensorRT does not start, or the GPU is lost
//   kResourceExhausted   the GPU has not memory for it
[[nodiscard]] Result<std::unique_ptr<Model>> load_tensorrt_model(const ModelConfig& config,
                                                                 OpenDevice open_device);

}  // namespace slipstream::tensorrt
