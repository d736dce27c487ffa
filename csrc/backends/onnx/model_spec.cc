#include "backends/onnx/model_spec.h"

#include <algorithm>
#include <utility>

#include "backends/onnx/ort_status.h"
#include "backends/onnx/ort_values.h"

namespace slipstream::onnx {
namespace {

// The functions that describe one side of a session.
struct Side {
  std::string_view noun;
  OrtStatus* (*count)(const OrtSession*, std::size_t*) noexcept;
  OrtStatus* (*name)(const OrtSession*, std::size_t, OrtAllocator*, char**) noexcept;
  OrtStatus* (*type)(const OrtSession*, std::size_t, OrtTypeInfo**) noexcept;
};

// What the decision needs to know of a first dimension, beside what TensorSpec says.
struct Described {
  TensorSpec tensor;
  std::string first_dim_name;  // "" when it has none
};

constexpr const char* kContext = "onnx backend: the model cannot be described";

Status check(const Runtime& runtime, OrtStatus* status) {
  return take_status(runtime.api, status, Phase::kLoad, kContext);
}

Status not_a_tensor(const Side& side, const std::string& name, int kind) {
  std::string what = "of a kind that slipstream does not serve";
  if (kind == kSequenceValue) what = "a sequence";
  if (kind == kMapValue) what = "a map";
  return invalid_argument("onnx backend: " + std::string(side.noun) + " '" + name + "' is " + what +
                          ", and only tensors can be served. A classifier of skl2onnx must be " +
                          "exported with zipmap=False");
}

Result<std::string> read_name(const Runtime& runtime, const OrtSession* session, const Side& side,
                              std::size_t index) {
  char* text = nullptr;
  if (OrtStatus* const failed = side.name(session, index, runtime.allocator, &text)) {
    return check(runtime, failed);
  }
  std::string name(text);
  if (Status freed = check(runtime, runtime.api.AllocatorFree(runtime.allocator, text));
      !freed.is_ok()) {
    return freed;
  }
  return name;
}

Status read_dims(const Runtime& runtime, const OrtTensorTypeAndShapeInfo* info,
                 Described& described) {
  const Api& api = runtime.api;
  std::size_t rank = 0;
  if (Status status = check(runtime, api.GetDimensionsCount(info, &rank)); !status.is_ok()) {
    return status;
  }
  // A tensor whose rank the model leaves open looks like a scalar here.
  if (rank == 0) return Status::ok();
  std::vector<std::int64_t>& dims = described.tensor.dims;
  dims.resize(rank);
  std::vector<const char*> names(rank);
  Status status = check(runtime, api.GetDimensions(info, dims.data(), rank));
  if (!status.is_ok()) return status;
  status = check(runtime, api.GetSymbolicDimensions(info, names.data(), rank));
  if (!status.is_ok()) return status;
  for (std::int64_t& dim : dims) dim = std::max<std::int64_t>(dim, -1);
  if (names[0] != nullptr) described.first_dim_name = names[0];
  return Status::ok();
}

Result<Described> describe(const Runtime& runtime, const OrtSession* session, const Side& side,
                           std::size_t index) {
  const Api& api = runtime.api;
  Described described;
  Result<std::string> name = read_name(runtime, session, side, index);
  if (!name.is_ok()) return name.status();
  described.tensor.name = std::move(name).value();

  OrtTypeInfo* type_info = nullptr;
  if (OrtStatus* const failed = side.type(session, index, &type_info)) {
    return check(runtime, failed);
  }
  const Owned<OrtTypeInfo> owned(type_info, api.ReleaseTypeInfo);
  int kind = 0;
  const OrtTensorTypeAndShapeInfo* info = nullptr;  // belongs to type_info
  Status status = check(runtime, api.GetOnnxTypeFromTypeInfo(type_info, &kind));
  if (!status.is_ok()) return status;
  if (kind != kTensorValue) return not_a_tensor(side, described.tensor.name, kind);
  status = check(runtime, api.CastTypeInfoToTensorInfo(type_info, &info));
  if (!status.is_ok()) return status;

  int element_type = kElementUndefined;
  status = check(runtime, api.GetTensorElementType(info, &element_type));
  if (!status.is_ok()) return status;
  const std::optional<DType> dtype = dtype_of(element_type);
  if (!dtype) {
    return invalid_argument("onnx backend: " + std::string(side.noun) + " '" +
                            described.tensor.name +
                            "' has an element type that slipstream does not carry (number " +
                            std::to_string(element_type) +
                            " of ONNX): cast it inside the model, for example to float32");
  }
  described.tensor.dtype = *dtype;
  status = read_dims(runtime, info, described);
  if (!status.is_ok()) return status;
  return described;
}

Result<std::vector<Described>> describe_all(const Runtime& runtime, const OrtSession* session,
                                            const Side& side) {
  std::size_t count = 0;
  if (OrtStatus* const failed = side.count(session, &count)) return check(runtime, failed);
  std::vector<Described> all;
  for (std::size_t index = 0; index < count; ++index) {
    Result<Described> one = describe(runtime, session, side, index);
    if (!one.is_ok()) return one.status();
    all.push_back(std::move(one).value());
  }
  return all;
}

bool has_dynamic_rows(const Described& described) {
  return !described.tensor.dims.empty() && described.tensor.dims[0] < 0;
}

bool looks_batchable(const std::vector<Described>& inputs, const std::vector<Described>& outputs) {
  if (inputs.empty() || outputs.empty()) return false;
  const std::string& axis = inputs.front().first_dim_name;
  const auto fits = [&axis](const Described& described) {
    return has_dynamic_rows(described) && described.first_dim_name == axis;
  };
  return std::ranges::all_of(inputs, fits) && std::ranges::all_of(outputs, fits);
}

// An output of open rank is given the benefit of the doubt: execute checks what comes out.
Status check_may_batch(const std::vector<Described>& inputs,
                       const std::vector<Described>& outputs) {
  const auto refuse = [](std::string_view noun, const Described& described) {
    return invalid_argument("onnx backend: option 'batchable' is true, but " + std::string(noun) +
                            " '" + described.tensor.name + "' has shape " +
                            to_string(described.tensor.dims) + ": its first dimension is fixed");
  };
  if (inputs.empty()) {
    return invalid_argument("onnx backend: option 'batchable' is true, but the model has no input");
  }
  for (const Described& input : inputs) {
    if (!has_dynamic_rows(input)) return refuse("input", input);
  }
  for (const Described& output : outputs) {
    if (!output.tensor.dims.empty() && !has_dynamic_rows(output)) return refuse("output", output);
  }
  return Status::ok();
}

std::vector<TensorSpec> tensors_of(std::vector<Described> described) {
  std::vector<TensorSpec> tensors;
  tensors.reserve(described.size());
  for (Described& one : described) tensors.push_back(std::move(one.tensor));
  return tensors;
}

}  // namespace

Result<ModelSpec> read_model_spec(const Runtime& runtime, const OrtSession* session,
                                  Batchable batchable) {
  const Api& api = runtime.api;
  Result<std::vector<Described>> inputs = describe_all(
      runtime, session,
      {"input", api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo});
  if (!inputs.is_ok()) return inputs.status();
  Result<std::vector<Described>> outputs =
      describe_all(runtime, session,
                   {"output", api.SessionGetOutputCount, api.SessionGetOutputName,
                    api.SessionGetOutputTypeInfo});
  if (!outputs.is_ok()) return outputs.status();

  ModelSpec spec;
  if (batchable == Batchable::kYes) {
    Status status = check_may_batch(inputs.value(), outputs.value());
    if (!status.is_ok()) return status;
    spec.batchable = true;
  } else {
    spec.batchable =
        batchable == Batchable::kAuto && looks_batchable(inputs.value(), outputs.value());
  }
  spec.inputs = tensors_of(std::move(inputs).value());
  spec.outputs = tensors_of(std::move(outputs).value());
  return spec;
}

}  // namespace slipstream::onnx
