#include "backends/onnx/ort_values.h"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace slipstream::onnx {
namespace {

struct TypePair {
  DType dtype;
  ElementType element;
};

// Indexed by DType.
constexpr std::array<TypePair, kDTypeCount> kTypes{{{DType::kBool, kElementBool},
                                                    {DType::kInt8, kElementInt8},
                                                    {DType::kInt16, kElementInt16},
                                                    {DType::kInt32, kElementInt32},
                                                    {DType::kInt64, kElementInt64},
                                                    {DType::kUint8, kElementUint8},
                                                    {DType::kUint16, kElementUint16},
                                                    {DType::kUint32, kElementUint32},
                                                    {DType::kUint64, kElementUint64},
                                                    {DType::kFloat16, kElementFloat16},
                                                    {DType::kBfloat16, kElementBfloat16},
                                                    {DType::kFloat32, kElementFloat},
                                                    {DType::kFloat64, kElementDouble},
                                                    {DType::kString, kElementString}}};

constexpr bool is_indexed_by_dtype() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<std::size_t>(kTypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(is_indexed_by_dtype());

Status failed(const Runtime& runtime, OrtStatus* status, std::string_view name) {
  return take_status(runtime.api, status, Phase::kRun,
                     "onnx backend: tensor '" + std::string(name) + "'");
}

Result<Owned<OrtValue>> wrap_numbers(const Runtime& runtime, const Tensor& tensor,
                                     std::string_view name) {
  // ONNX Runtime takes inputs by non-const pointer but does not write to them. It refuses a null
  // pointer, which a tensor without elements may have.
  static std::byte nothing{};
  auto* const data = const_cast<std::byte*>(tensor.data());
  OrtValue* value = nullptr;
  OrtStatus* const status = runtime.api.CreateTensorWithDataAsOrtValue(
      runtime.cpu_memory, data != nullptr ? data : &nothing, tensor.bytes(),
      tensor.shape().dims().data(), tensor.shape().rank(), element_type_of(tensor.dtype()), &value);
  if (status != nullptr) return failed(runtime, status, name);
  return Owned<OrtValue>(value, runtime.api.ReleaseValue);
}

Result<Owned<OrtValue>> copy_strings_in(const Runtime& runtime, const Tensor& tensor,
                                        std::string_view name) {
  OrtValue* value = nullptr;
  OrtStatus* status =
      runtime.api.CreateTensorAsOrtValue(runtime.allocator, tensor.shape().dims().data(),
                                         tensor.shape().rank(), kElementString, &value);
  if (status != nullptr) return failed(runtime, status, name);
  Owned<OrtValue> owned(value, runtime.api.ReleaseValue);
  std::size_t index = 0;
  for (const std::string& text : tensor.strings()) {
    // FillStringTensor would stop at a NUL inside the text; this call takes any bytes.
    char* buffer = nullptr;
    status = runtime.api.GetResizedStringTensorElementBuffer(value, index++, text.size(), &buffer);
    if (status != nullptr) return failed(runtime, status, name);
    if (!text.empty()) std::memcpy(buffer, text.data(), text.size());
  }
  return owned;
}

Result<Tensor> copy_strings_out(const Runtime& runtime, const OrtValue* value, Shape shape,
                                std::string_view name, std::pmr::memory_resource* memory) {
  Tensor tensor = Tensor::allocate(DType::kString, std::move(shape), memory);
  const std::span<std::string> strings = tensor.strings();
  if (strings.empty()) return tensor;
  std::size_t bytes = 0;
  OrtStatus* status = runtime.api.GetStringTensorDataLength(value, &bytes);
  if (status != nullptr) return failed(runtime, status, name);
  std::vector<char> text(bytes + 1);  // one more: never a null pointer, even for no bytes
  std::vector<std::size_t> offsets(strings.size());
  status =
      runtime.api.GetStringTensorContent(value, text.data(), bytes, offsets.data(), offsets.size());
  if (status != nullptr) return failed(runtime, status, name);
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::size_t end = i + 1 < offsets.size() ? offsets[i + 1] : bytes;
    strings[i].assign(text.data() + offsets[i], end - offsets[i]);
  }
  return tensor;
}

// Reads shape and type of a tensor that ONNX Runtime made.
Status describe(const Runtime& runtime, const OrtValue* value, std::string_view name, Shape& shape,
                int& element_type) {
  const Api& api = runtime.api;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (OrtStatus* const status = api.GetTensorTypeAndShape(value, &info)) {
    return failed(runtime, status, name);
  }
  const Owned<OrtTensorTypeAndShapeInfo> owned(info, api.ReleaseTensorTypeAndShapeInfo);
  std::size_t rank = 0;
  OrtStatus* status = api.GetTensorElementType(info, &element_type);
  if (status == nullptr) status = api.GetDimensionsCount(info, &rank);
  if (status != nullptr) return failed(runtime, status, name);
  if (rank <= Shape::kInlineRank) {
    std::array<std::int64_t, Shape::kInlineRank> dims{};
    status = api.GetDimensions(info, dims.data(), rank);
    shape = Shape(std::span<const std::int64_t>(dims.data(), rank));
  } else {
    std::vector<std::int64_t> dims(rank);
    status = api.GetDimensions(info, dims.data(), rank);
    shape = Shape(std::span<const std::int64_t>(dims));
  }
  return failed(runtime, status, name);
}

// Releases the OrtValue when the last view of its memory goes.
struct ValueReleaser {
  OrtValue* value;
  void (*release)(OrtValue*) noexcept;
  void operator()(void*) const noexcept { release(value); }
};

}  // namespace

std::optional<DType> dtype_of(int element_type) noexcept {
  for (const TypePair& pair : kTypes) {
    if (pair.element == element_type) return pair.dtype;
  }
  return std::nullopt;
}

int element_type_of(DType dtype) noexcept {
  return kTypes[static_cast<std::size_t>(dtype)].element;
}

Result<Owned<OrtValue>> to_ort_value(const Runtime& runtime, const Tensor& tensor,
                                     std::string_view name) {
  return tensor.dtype() == DType::kString ? copy_strings_in(runtime, tensor, name)
                                          : wrap_numbers(runtime, tensor, name);
}

Result<Tensor> to_tensor(const Runtime& runtime, Owned<OrtValue> value, std::string_view name,
                         std::pmr::memory_resource* memory) {
  Shape shape;
  int element_type = kElementUndefined;
  if (Status status = describe(runtime, value.get(), name, shape, element_type); !status.is_ok()) {
    return status;
  }
  const std::optional<DType> dtype = dtype_of(element_type);
  if (!dtype) {
    return internal_error("onnx backend: output '" + std::string(name) +
                          "' has an element type that slipstream does not carry");
  }
  if (*dtype == DType::kString) {
    return copy_strings_out(runtime, value.get(), std::move(shape), name, memory);
  }
  void* data = nullptr;
  if (OrtStatus* const status = runtime.api.GetTensorMutableData(value.get(), &data)) {
    return failed(runtime, status, name);
  }
  OrtValue* const raw = value.release();
  std::shared_ptr<void> owner(data, ValueReleaser{raw, runtime.api.ReleaseValue},
                              std::pmr::polymorphic_allocator<std::byte>(memory));
  return Tensor::wrap(*dtype, std::move(shape), data, std::move(owner));
}

}  // namespace slipstream::onnx
