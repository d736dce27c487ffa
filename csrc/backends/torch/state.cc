#include "backends/torch/state.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "backends/torch/values.h"

namespace slipstream::libtorch {
namespace {

static_assert(std::endian::native == std::endian::little);

enum class Kept : std::uint8_t { kTensor = 1, kInt, kFloat, kBool, kNone };

constexpr std::size_t kMostRank = 64;

// Copies of a module's objects, each made once: those on the way to a slot.
class Copies {
 public:
  explicit Copies(const c10::intrusive_ptr<c10::ivalue::Object>& root) : root_(root->copy()) {
    made_.emplace("", root_);
  }

  [[nodiscard]] const c10::intrusive_ptr<c10::ivalue::Object>& root() const { return root_; }

  // The copy of the object at `path`; null if there is none.
  c10::intrusive_ptr<c10::ivalue::Object> at(const std::string& path) {
    if (const auto known = made_.find(path); known != made_.end()) return known->second;
    const std::size_t dot = path.rfind('.');
    const std::string above = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::string name = dot == std::string::npos ? path : path.substr(dot + 1);
    const c10::intrusive_ptr<c10::ivalue::Object> parent = at(above);
    const auto number = parent ? parent->type()->findAttributeSlot(name) : std::nullopt;
    if (!number || !parent->getSlot(*number).isObject()) return {};
    auto copy = parent->getSlot(*number).toObject()->copy();
    parent->setSlot(*number, copy);
    made_.emplace(path, copy);
    return copy;
  }

 private:
  c10::intrusive_ptr<c10::ivalue::Object> root_;
  std::map<std::string, c10::intrusive_ptr<c10::ivalue::Object>> made_;
};

bool can_be_kept(const c10::IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return !tensor.defined() || dtype_of(tensor.scalar_type()).has_value();
  }
  return value.isInt() || value.isDouble() || value.isBool() || value.isNone();
}

c10::IValue copy_of(const c10::IValue& value) {
  return value.isTensor() && value.toTensor().defined() ? c10::IValue(value.toTensor().clone())
                                                        : value;
}

// What is left of the bytes; every read says whether there were enough.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  [[nodiscard]] std::optional<T> next() {
    if (bytes_.size() < sizeof(T)) return std::nullopt;
    T value;
    std::copy_n(bytes_.begin(), sizeof(T), reinterpret_cast<char*>(&value));
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  [[nodiscard]] std::optional<std::string_view> next_bytes(std::size_t count) {
    if (bytes_.size() < count) return std::nullopt;
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

std::optional<c10::IValue> read_tensor(Reader& reader) {
  const auto dtype = reader.next<std::uint8_t>();
  const auto rank = reader.next<std::uint8_t>();
  if (!dtype || !rank || *dtype >= static_cast<std::uint8_t>(DType::kString) || *rank > kMostRank) {
    return std::nullopt;
  }
  const auto type = static_cast<DType>(*dtype);
  std::vector<std::int64_t> sizes(*rank);
  std::size_t bytes = dtype_size(type);
  for (std::int64_t& size : sizes) {
    const auto read = reader.next<std::int64_t>();
    if (!read || *read < 0) return std::nullopt;
    size = *read;
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && bytes > std::numeric_limits<std::size_t>::max() / factor)
      return std::nullopt;
    bytes *= factor;
  }
  const auto data = reader.next_bytes(bytes);
  if (!data) return std::nullopt;
  at::Tensor tensor = at::empty(sizes, at::TensorOptions().dtype(scalar_type_of(type)));
  std::ranges::copy(*data, static_cast<char*>(tensor.mutable_data_ptr()));
  return tensor;
}

std::optional<c10::IValue> read_value(Reader& reader) {
  const auto kind = reader.next<std::uint8_t>();
  if (!kind) return std::nullopt;
  switch (static_cast<Kept>(*kind)) {
    case Kept::kTensor:
      return read_tensor(reader);
    case Kept::kInt:
      if (const auto number = reader.next<std::int64_t>()) return *number;
      return std::nullopt;
    case Kept::kFloat:
      if (const auto number = reader.next<double>()) return *number;
      return std::nullopt;
    case Kept::kBool:
      if (const auto number = reader.next<std::int64_t>()) return *number != 0;
      return std::nullopt;
    case Kept::kNone:
      return c10::IValue();
  }
  return std::nullopt;
}

void append(std::string& bytes, const void* data, std::size_t count) {
  if (count != 0) bytes.append(static_cast<const char*>(data), count);
}

template <class T>
void append_number(std::string& bytes, Kept kind, T number) {
  static_assert(sizeof(T) == 8);
  bytes.push_back(static_cast<char>(kind));
  append(bytes, &number, sizeof(number));
}

void append_tensor(std::string& bytes, const at::Tensor& given) {
  const at::Tensor tensor = given.contiguous();
  bytes.push_back(static_cast<char>(Kept::kTensor));
  bytes.push_back(static_cast<char>(dtype_of(tensor.scalar_type()).value()));
  bytes.push_back(static_cast<char>(tensor.dim()));
  for (const std::int64_t size : tensor.sizes()) append(bytes, &size, sizeof(size));
  append(bytes, tensor.const_data_ptr(), tensor.nbytes());
}

void append_value(std::string& bytes, const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined()) {
    append_tensor(bytes, value.toTensor());
  } else if (value.isInt()) {
    append_number(bytes, Kept::kInt, value.toInt());
  } else if (value.isDouble()) {
    append_number(bytes, Kept::kFloat, value.toDouble());
  } else if (value.isBool()) {
    append_number(bytes, Kept::kBool, std::int64_t{value.toBool()});
  } else {
    bytes.push_back(static_cast<char>(Kept::kNone));
  }
}

}  // namespace

TensorSpec state_spec() {
  return TensorSpec{kStateName, DType::kUint8, {-1}};
}

Result<State> State::of(const torch::jit::Module& shared, const std::vector<std::string>& paths) {
  Copies copies(shared._ivalue());
  State state{torch::jit::Module(copies.root())};
  for (const std::string& path : paths) {
    const std::size_t dot = path.rfind('.');
    const auto object = copies.at(dot == std::string::npos ? "" : path.substr(0, dot));
    const std::string name = dot == std::string::npos ? path : path.substr(dot + 1);
    const auto number = object ? object->type()->findAttributeSlot(name) : std::nullopt;
    if (!number) return invalid_argument("the module has no attribute '" + path + "'");
    const c10::IValue& value = object->getSlot(*number);
    if (!can_be_kept(value)) {
      return invalid_argument("attribute '" + path + "', which forward() changes, is a " +
                              value.tagKind() + ", and only tensors and numbers can be kept");
    }
    state.slots_.push_back({object, *number, copy_of(value), path});
  }
  return state;
}

Status State::restore(const Tensor& bytes) {
  if (bytes.bytes() == 0) {
    for (const Slot& slot : slots_) slot.object->setSlot(slot.number, copy_of(slot.initial));
    return Status::ok();
  }
  Reader reader({reinterpret_cast<const char*>(bytes.data()), bytes.bytes()});
  for (const Slot& slot : slots_) {
    std::optional<c10::IValue> value = read_value(reader);
    const bool fits =
        value && value->type()->isSubtypeOf(*slot.object->type()->getAttribute(slot.number));
    if (!fits) {
      return invalid_argument("the bytes of '" + std::string(kStateName) +
                              "' are no state of this model: '" + slot.path +
                              "' cannot be read; send back what the model gave, or nothing");
    }
    slot.object->setSlot(slot.number, std::move(*value));
  }
  if (reader.left() != 0) {
    return invalid_argument("the bytes of '" + std::string(kStateName) +
                            "' are no state of this model: there are too many");
  }
  return Status::ok();
}

Tensor State::saved(std::pmr::memory_resource* memory) const {
  std::string bytes;
  for (const Slot& slot : slots_) append_value(bytes, slot.object->getSlot(slot.number));
  Tensor tensor =
      Tensor::allocate(DType::kUint8, Shape{static_cast<std::int64_t>(bytes.size())}, memory);
  std::memcpy(tensor.data(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace slipstream::libtorch
