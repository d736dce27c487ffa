#include "backends/torch/layout.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/function_schema.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include "backends/torch/values.h"

namespace slipstream::libtorch {
namespace {

// The name of a part of the value at `path`.
std::string join(const std::string& path, const std::string& key, bool is_index) {
  if (!path.empty()) return path + "." + key;
  return is_index ? "output_" + key : key;
}

bool is_within(const std::string& name, const std::string& path) {
  return path.empty() || name == path || (name.starts_with(path) && name[path.size()] == '.');
}

bool is_number(const std::string& text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The keys below `path`, in the order of the specs. A key of a dict of tensors may hold dots.
std::vector<std::string> keys_below(const std::string& path, std::span<const TensorSpec> specs,
                                    bool are_leaves) {
  std::vector<std::string> keys;
  const std::size_t skipped = path.empty() ? 0 : path.size() + 1;
  for (const TensorSpec& spec : specs) {
    if (!is_within(spec.name, path) || spec.name.size() <= skipped) continue;
    const std::string_view rest = std::string_view(spec.name).substr(skipped);
    const std::string key(are_leaves ? rest : rest.substr(0, rest.find('.')));
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

// Whether it is one tensor.
bool is_leaf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
    case c10::TypeKind::IntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::StringType:
      return true;
    case c10::TypeKind::ListType:
      return type->expectRef<c10::ListType>().getElementType()->kind() == c10::TypeKind::StringType;
    default:
      return false;
  }
}

Tensor scalar_tensor(DType dtype, const void* value, std::pmr::memory_resource* memory) {
  Tensor tensor = Tensor::allocate(dtype, Shape{}, memory);
  std::memcpy(tensor.data(), value, dtype_size(dtype));
  return tensor;
}

}  // namespace

Result<Layout> Layout::of(const c10::TypePtr& type, const std::string& name,
                          std::span<const TensorSpec> specs) {
  // One value that is returned as it is has a name of its own, whatever that is.
  if (name.empty() && specs.size() == 1 && is_leaf(type)) return make(type, specs[0].name, specs);
  return make(type, name, specs);
}

Result<Layout> Layout::make(const c10::TypePtr& type, const std::string& path,
                            std::span<const TensorSpec> specs) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      return make(type->expectRef<c10::OptionalType>().getElementType(), path, specs);
    case c10::TypeKind::TensorType:
      return make_leaf(Part::kTensor, path, specs);
    case c10::TypeKind::IntType:
      return make_leaf(Part::kInt, path, specs);
    case c10::TypeKind::FloatType:
      return make_leaf(Part::kFloat, path, specs);
    case c10::TypeKind::BoolType:
      return make_leaf(Part::kBool, path, specs);
    case c10::TypeKind::StringType:
      return make_leaf(Part::kText, path, specs);
    case c10::TypeKind::TupleType:
      return make_tuple(type, path, specs);
    case c10::TypeKind::ListType:
    case c10::TypeKind::DictType:
      return is_leaf(type) ? make_leaf(Part::kTexts, path, specs)
                           : make_collection(type, path, specs);
    default:
      return invalid_argument("'" + path + "' is a " + type->repr_str() +
                              ", and only tensors, numbers, texts, and tuples, lists and dicts of "
                              "them can be served");
  }
}

Result<Layout> Layout::make_tuple(const c10::TypePtr& type, const std::string& path,
                                  std::span<const TensorSpec> specs) {
  const auto& tuple = type->expectRef<c10::TupleType>();
  Layout layout;
  layout.part_ = Part::kTuple;
  layout.type_ = type;
  layout.path_ = path;
  for (std::size_t i = 0; i < tuple.elements().size(); ++i) {
    layout.keys_.push_back(tuple.schema() ? tuple.schema()->arguments()[i].name()
                                          : std::to_string(i));
  }
  const std::vector<c10::TypePtr> types(tuple.elements().begin(), tuple.elements().end());
  if (Status status = layout.add_children(types, specs); !status.is_ok()) return status;
  return layout;
}

Result<Layout> Layout::make_collection(const c10::TypePtr& type, const std::string& path,
                                       std::span<const TensorSpec> specs) {
  const auto dict = type->cast<c10::DictType>();
  if (dict && dict->getKeyType()->kind() != c10::TypeKind::StringType) {
    return invalid_argument("'" + path + "' is a " + type->repr_str() +
                            ", and only dicts with texts for keys can be served");
  }
  Layout layout;
  layout.part_ = dict ? Part::kDict : Part::kList;
  layout.type_ = dict ? dict->getValueType() : type->expectRef<c10::ListType>().getElementType();
  layout.path_ = path;
  layout.keys_ = keys_below(path, specs, dict && is_leaf(layout.type_));
  const std::vector<c10::TypePtr> types(layout.keys_.size(), layout.type_);
  if (Status status = layout.add_children(types, specs); !status.is_ok()) return status;
  return layout;
}

Result<Layout> Layout::make_leaf(Part part, const std::string& path,
                                 std::span<const TensorSpec> specs) {
  const auto found = std::ranges::find(specs, path, &TensorSpec::name);
  if (found == specs.end()) {
    return invalid_argument("nothing is said of '" + path + "', which the model has");
  }
  const bool is_text = part == Part::kText || part == Part::kTexts;
  const std::size_t rank = part == Part::kTexts ? 1 : 0;
  DType needed = found->dtype;
  if (part == Part::kInt) needed = DType::kInt64;
  if (part == Part::kFloat) needed = DType::kFloat64;
  if (part == Part::kBool) needed = DType::kBool;
  if (is_text) needed = DType::kString;
  const bool is_wrong = part == Part::kTensor
                            ? found->dtype == DType::kString
                            : found->dtype != needed || found->dims.size() != rank;
  if (is_wrong) {
    return invalid_argument("'" + path + "' is said to be " +
                            std::string(dtype_name(found->dtype)) + " " + to_string(found->dims) +
                            ", which the model's own type is not");
  }
  Layout layout;
  layout.part_ = part;
  layout.path_ = path;
  layout.spec_ = static_cast<std::size_t>(found - specs.begin());
  return layout;
}

Status Layout::add_children(const std::vector<c10::TypePtr>& types,
                            std::span<const TensorSpec> specs) {
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool is_place = part_ == Part::kTuple && is_number(keys_[i]);
    const std::string name = join(path_, keys_[i], is_place);
    Result<Layout> child = make(types[i], name, specs);
    if (!child.is_ok()) return child.status();
    children_.push_back(std::move(child).value());
  }
  return Status::ok();
}

bool Layout::has_host_values() const noexcept {
  switch (part_) {
    case Part::kTensor:
      return false;
    case Part::kTuple:
    case Part::kList:
    case Part::kDict:
      return std::ranges::any_of(children_, &Layout::has_host_values);
    default:
      return true;
  }
}

c10::IValue Layout::build(std::span<const Tensor> tensors, c10::Device place, bool copied) const {
  switch (part_) {
    case Part::kTensor:
      return to_torch(tensors[spec_], place, copied);
    case Part::kInt:
      return tensors[spec_].as<std::int64_t>()[0];
    case Part::kFloat:
      return tensors[spec_].as<double>()[0];
    case Part::kBool:
      return tensors[spec_].as<bool>()[0];
    case Part::kText:
      return tensors[spec_].strings()[0];
    case Part::kTexts: {
      c10::List<std::string> texts;
      for (const std::string& text : tensors[spec_].strings()) texts.push_back(text);
      return texts;
    }
    default:
      return build_parts(tensors, place, copied);
  }
}

c10::IValue Layout::build_parts(std::span<const Tensor> tensors, c10::Device place,
                                bool copied) const {
  if (part_ == Part::kTuple) {
    std::vector<c10::IValue> elements;
    elements.reserve(children_.size());
    for (const Layout& child : children_) elements.push_back(child.build(tensors, place, copied));
    return c10::ivalue::Tuple::createNamed(std::move(elements), type_->cast<c10::TupleType>());
  }
  if (part_ == Part::kList) {
    c10::impl::GenericList list(type_);
    for (const Layout& child : children_) list.push_back(child.build(tensors, place, copied));
    return list;
  }
  c10::impl::GenericDict dict(c10::StringType::get(), type_);
  for (std::size_t i = 0; i < children_.size(); ++i) {
    dict.insert(keys_[i], children_[i].build(tensors, place, copied));
  }
  return dict;
}

Status Layout::take_apart(c10::IValue value, c10::Device place, const Execution& execution,
                          std::span<const TensorSpec> specs, std::vector<Tensor>& outputs) const {
  if (part_ != Part::kTuple && part_ != Part::kList && part_ != Part::kDict) {
    return execution.wants(spec_) ? take_leaf(std::move(value), place, execution, specs, outputs)
                                  : Status::ok();
  }
  Result<std::vector<c10::IValue>> values = children_of(value);
  value = c10::IValue();  // from here on nothing but `values` refers to its parts
  if (!values.is_ok()) return values.status();
  for (std::size_t i = 0; i < children_.size(); ++i) {
    Status status =
        children_[i].take_apart(std::move(values.value()[i]), place, execution, specs, outputs);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

Result<std::vector<c10::IValue>> Layout::children_of(const c10::IValue& value) const {
  std::vector<c10::IValue> values;
  if (part_ == Part::kTuple && value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    values.assign(elements.begin(), elements.end());
  } else if (part_ == Part::kList && value.isList()) {
    const c10::ArrayRef<c10::IValue> elements = value.toListRef();
    values.assign(elements.begin(), elements.end());
  } else if (part_ == Part::kDict && value.isGenericDict()) {
    const c10::impl::GenericDict dict = value.toGenericDict();
    for (const std::string& key : keys_) {
      const auto found = dict.find(key);
      if (found != dict.end()) values.push_back(found->value());
    }
  }
  if (values.size() == children_.size()) return values;
  return internal_error("the model returned other parts '" + path_ + "' than when it was prepared");
}

Status Layout::take_leaf(c10::IValue value, c10::Device place, const Execution& execution,
                         std::span<const TensorSpec> specs, std::vector<Tensor>& outputs) const {
  Tensor& output = outputs[spec_];
  if (part_ == Part::kTensor && value.isTensor()) {
    Result<Tensor> tensor = to_core(value.toTensor(), place, specs[spec_].dtype, path_,
                                    execution.inputs, execution.memory);
    if (!tensor.is_ok()) return tensor.status();
    output = std::move(tensor).value();
    return Status::ok();
  }
  if (part_ == Part::kInt && value.isInt()) {
    const std::int64_t number = value.toInt();
    output = scalar_tensor(DType::kInt64, &number, execution.memory);
    return Status::ok();
  }
  if (part_ == Part::kFloat && value.isDouble()) {
    const double number = value.toDouble();
    output = scalar_tensor(DType::kFloat64, &number, execution.memory);
    return Status::ok();
  }
  if (part_ == Part::kBool && value.isBool()) {
    const bool flag = value.toBool();
    output = scalar_tensor(DType::kBool, &flag, execution.memory);
    return Status::ok();
  }
  if (part_ == Part::kText && value.isString()) {
    output = Tensor::allocate(DType::kString, Shape{}, execution.memory);
    output.strings()[0] = value.toStringRef();
    return Status::ok();
  }
  if (part_ == Part::kTexts && value.isList()) {
    const c10::ArrayRef<c10::IValue> texts = value.toListRef();
    output = Tensor::allocate(DType::kString, Shape{static_cast<std::int64_t>(texts.size())},
                              execution.memory);
    for (std::size_t i = 0; i < texts.size(); ++i) output.strings()[i] = texts[i].toStringRef();
    return Status::ok();
  }
  return internal_error("output '" + path_ + "' is a " + value.tagKind() +
                        ", and was something else when the model was prepared");
}

}  // namespace slipstream::libtorch
