// From what TensorRT tells of an engine to what face.h makes a Face of.
#include <algorithm>
#include <thread>

#include "backends/tensorrt/engine.h"
#include "backends/tensorrt/refusal.h"
#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {
namespace {

using nvinfer1::DataType;
using nvinfer1::OptProfileSelector;

std::vector<std::int64_t> sizes_of(const nvinfer1::Dims& dims) {
  const auto rank = static_cast<std::size_t>(std::clamp(dims.nbDims, 0, nvinfer1::Dims::MAX_DIMS));
  return {dims.d, dims.d + rank};
}

std::optional<DType> dtype_of(DataType type) {
  switch (type) {
    case DataType::kFLOAT:
      return DType::kFloat32;
    case DataType::kHALF:
      return DType::kFloat16;
    case DataType::kBF16:
      return DType::kBfloat16;
    case DataType::kINT8:
      return DType::kInt8;
    case DataType::kUINT8:
      return DType::kUint8;
    case DataType::kINT32:
      return DType::kInt32;
    case DataType::kINT64:
      return DType::kInt64;
    case DataType::kBOOL:
      return DType::kBool;
    default:  // types of less than a byte, and those of later versions
      return std::nullopt;
  }
}

std::string type_name_of(DataType type) {
  switch (type) {
    case DataType::kFP8:
      return "FP8";
    case DataType::kINT4:
      return "INT4";
    default:
      return "number " + std::to_string(static_cast<int>(type)) + " of TensorRT";
  }
}

// The profile is set on a stream, and that has to be done before the stream goes.
Status select_profile(nvinfer1::IExecutionContext& context, int profile, device::Device& device) {
  Result<std::unique_ptr<device::Stream>> stream = device.create_stream();
  if (!stream.is_ok()) return stream.status();
  Result<std::unique_ptr<device::Event>> done = device.create_event();
  if (!done.is_ok()) return done.status();
  if (!context.setOptimizationProfileAsync(profile,
                                           static_cast<cudaStream_t>(stream.value()->native()))) {
    return internal_error("its optimization profile cannot be set");
  }
  Status status = stream.value()->record(*done.value());
  while (status.is_ok()) {
    const Result<bool> is_done = done.value()->is_done();
    if (!is_done.is_ok()) return is_done.status();
    if (is_done.value()) break;
    std::this_thread::yield();
  }
  return status;
}

}  // namespace

nvinfer1::Dims dims_of(std::span<const std::int64_t> dims) noexcept {
  nvinfer1::Dims made{};
  made.nbDims =
      static_cast<std::int32_t>(std::min<std::size_t>(dims.size(), nvinfer1::Dims::MAX_DIMS));
  std::copy_n(dims.begin(), made.nbDims, made.d);
  return made;
}

Result<std::vector<Described>> describe(const nvinfer1::ICudaEngine& engine,
                                        const TensorRtOptions& options, const std::string& file) {
  const int profiles = engine.getNbOptimizationProfiles();
  if (options.profile >= std::max(profiles, 1)) {
    return invalid_argument("tensorrt backend: option 'profile' is " +
                            std::to_string(options.profile) + ", and " + file + " has " +
                            std::to_string(profiles) + " optimization profiles, from 0");
  }
  std::vector<Described> tensors;
  for (int i = 0; i < engine.getNbIOTensors(); ++i) {
    const char* const name = engine.getIOTensorName(i);
    const DataType type = engine.getTensorDataType(name);
    Described tensor;
    tensor.name = name;
    tensor.dtype = dtype_of(type);
    tensor.type_name = type_name_of(type);
    tensor.is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    tensor.is_on_host = engine.getTensorLocation(name) == nvinfer1::TensorLocation::kHOST ||
                        (tensor.is_input && engine.isShapeInferenceIO(name));
    tensor.is_linear =
        engine.getTensorFormat(name, options.profile) == nvinfer1::TensorFormat::kLINEAR;
    tensor.dims = sizes_of(engine.getTensorShape(name));
    if (tensor.is_input) {
      const auto bound = [&](OptProfileSelector which) {
        return sizes_of(engine.getProfileShape(name, options.profile, which));
      };
      const bool is_fixed = std::ranges::none_of(tensor.dims, [](auto dim) { return dim < 0; });
      tensor.min = is_fixed ? tensor.dims : bound(OptProfileSelector::kMIN);
      tensor.max = is_fixed ? tensor.dims : bound(OptProfileSelector::kMAX);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Status check_outputs(nvinfer1::ICudaEngine& engine, const Face& face, device::Device& device,
                     const std::string& file) {
  const Told told;
  // It only tells shapes, so it needs no memory on the device.
  const std::unique_ptr<nvinfer1::IExecutionContext> context(
      engine.createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED));
  if (context == nullptr) {
    return refused(file, "no execution context can be made of it", told.text());
  }
  if (face.profile != 0) {
    Status status = select_profile(*context, face.profile, device);
    if (!status.is_ok()) return refused(file, status.message(), told.text());
  }
  for (std::size_t i = 0; i < face.bounds.size(); ++i) {
    const std::string& name = face.spec.inputs[i].name;
    if (!context->setInputShape(name.c_str(), dims_of(face.bounds[i].max))) {
      return refused(file, "input '" + name + "' does not take the profile's own sizes",
                     told.text());
    }
  }
  for (const TensorSpec& output : face.spec.outputs) {
    const std::vector<std::int64_t> dims = sizes_of(context->getTensorShape(output.name.c_str()));
    if (std::ranges::none_of(dims, [](std::int64_t dim) { return dim < 0; })) continue;
    return invalid_argument("tensorrt backend: " + file + ": the shape of output '" + output.name +
                            "' depends on what the inputs hold (as of NonZero or "
                            "NonMaxSuppression), which this backend cannot serve: give it a fixed "
                            "size inside the model, or serve the ONNX model");
  }
  return Status::ok();
}

}  // namespace slipstream::tensorrt
