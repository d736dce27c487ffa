#include "backends/torch/values.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <utility>

namespace slipstream::libtorch {
namespace {

struct TypePair {
  DType dtype;
  c10::ScalarType scalar;
};

constexpr std::array<TypePair, kDTypeCount - 1> kTypes{{
    {DType::kBool, c10::ScalarType::Bool},
    {DType::kInt8, c10::ScalarType::Char},
    {DType::kInt16, c10::ScalarType::Short},
    {DType::kInt32, c10::ScalarType::Int},
    {DType::kInt64, c10::ScalarType::Long},
    {DType::kUint8, c10::ScalarType::Byte},
    {DType::kUint16, c10::ScalarType::UInt16},
    {DType::kUint32, c10::ScalarType::UInt32},
    {DType::kUint64, c10::ScalarType::UInt64},
    {DType::kFloat16, c10::ScalarType::Half},
    {DType::kBfloat16, c10::ScalarType::BFloat16},
    {DType::kFloat32, c10::ScalarType::Float},
    {DType::kFloat64, c10::ScalarType::Double},
}};

constexpr bool is_indexed_by_dtype() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<std::size_t>(kTypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(is_indexed_by_dtype());

bool borrows_from(const void* data, std::span<const Tensor> inputs) {
  const auto* const at = static_cast<const std::byte*>(data);
  return std::ranges::any_of(inputs, [at](const Tensor& input) {
    if (input.dtype() == DType::kString) return false;  // copied on the way in
    return !std::less<>{}(at, input.data()) && std::less<>{}(at, input.data() + input.bytes());
  });
}

}  // namespace

c10::ScalarType scalar_type_of(DType dtype) noexcept {
  return kTypes[static_cast<std::size_t>(dtype)].scalar;
}

std::optional<DType> dtype_of(c10::ScalarType type) noexcept {
  const auto* const found = std::ranges::find(kTypes, type, &TypePair::scalar);
  return found == kTypes.end() ? std::nullopt : std::optional(found->dtype);
}

at::Tensor to_torch(const Tensor& tensor, c10::Device place, bool copied) {
  const std::span<const std::int64_t> dims = tensor.shape().dims();
  // A model that writes to its inputs gets copies, so nothing writes through this pointer.
  auto* const data = const_cast<std::byte*>(tensor.data());
  const at::Tensor view =
      at::for_blob(data, c10::IntArrayRef(dims.data(), dims.size()))
          .target_device(place)
          .options(at::TensorOptions().dtype(scalar_type_of(tensor.dtype())).device(place))
          .make_tensor();
  return copied ? view.clone() : view;
}

Result<Tensor> to_core(at::Tensor tensor, c10::Device place, DType expected,
                       const std::string& name, std::span<const Tensor> inputs,
                       std::pmr::memory_resource* memory) {
  if (!tensor.defined()) return internal_error("output '" + name + "' is not there");
  const std::optional<DType> dtype = dtype_of(tensor.scalar_type());
  if (!dtype || *dtype != expected) {
    return internal_error("output '" + name + "' is of type " +
                          c10::toString(tensor.scalar_type()) + ", and was " +
                          std::string(dtype_name(expected)) + " when the model was prepared");
  }
  if (tensor.device() != place) tensor = tensor.to(place);
  const bool is_shared = tensor.use_count() > 1 || tensor.storage().use_count() > 1 ||
                         borrows_from(tensor.const_data_ptr(), inputs);
  tensor = is_shared ? tensor.clone(at::MemoryFormat::Contiguous) : tensor.contiguous();
  tensor = tensor.resolve_conj().resolve_neg();
  const c10::IntArrayRef sizes = tensor.sizes();
  Shape shape{std::span<const std::int64_t>(sizes.data(), sizes.size())};
  void* const data = tensor.mutable_data_ptr();
  const auto kept = std::allocate_shared<at::Tensor>(
      std::pmr::polymorphic_allocator<at::Tensor>(memory), std::move(tensor));
  return Tensor::wrap(*dtype, std::move(shape), data, std::shared_ptr<void>(kept, data));
}

}  // namespace slipstream::libtorch
