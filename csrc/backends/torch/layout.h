// Layout: how named tensors make up the arguments of forward(), or what it returns.
//
// A model of torch takes and gives tensors, numbers, texts, and tuples, lists and dicts of these; a
// request has tensors with names. A name is a path: `x`, `pair.0`, `batch.ids`; an element of a
// tuple that is returned as a whole is `output_0`, a key of such a dict, or a field of a named
// tuple, is its own name. Numbers are tensors without dimensions, lists of texts have one.
//
// Built once at load, against the types that the model declares; immutable then, any thread.
// Failure: a Status that names the place.
#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <c10/core/Device.h>

#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/status.h"
#include "core/tensor.h"

namespace slipstream::libtorch {

class Layout {
 public:
  // Of one argument called `name`, or with the name "" of a returned value. The tensors are those
  // of `specs` whose path begins there. Throws std::bad_alloc.
  //   kInvalidArgument: they do not make up a value of that type
  [[nodiscard]] static Result<Layout> of(const c10::TypePtr& type, const std::string& name,
                                         std::span<const TensorSpec> specs);

  // The value of these tensors, one for each of the specs. Views of their memory at `place`, or
  // copies.
  [[nodiscard]] c10::IValue build(std::span<const Tensor> tensors, c10::Device place,
                                  bool copied) const;

  // Whether there is more in it than tensors: numbers and texts, which are read on the host.
  [[nodiscard]] bool has_host_values() const noexcept;

  // Its inverse: `outputs[i]` becomes the tensor of spec i, at `place`, where somebody wants it.
  // The value is consumed, so that tensors that nothing else refers to need no copy.
  //   kInternal: the value has not the parts, or their types, that it had at load
  [[nodiscard]] Status take_apart(c10::IValue value, c10::Device place, const Execution& execution,
                                  std::span<const TensorSpec> specs,
                                  std::vector<Tensor>& outputs) const;

 private:
  enum class Part { kTensor, kInt, kFloat, kBool, kText, kTexts, kTuple, kList, kDict };

  [[nodiscard]] static Result<Layout> make(const c10::TypePtr& type, const std::string& path,
                                           std::span<const TensorSpec> specs);
  [[nodiscard]] static Result<Layout> make_leaf(Part part, const std::string& path,
                                                std::span<const TensorSpec> specs);
  [[nodiscard]] static Result<Layout> make_tuple(const c10::TypePtr& type, const std::string& path,
                                                 std::span<const TensorSpec> specs);
  [[nodiscard]] static Result<Layout> make_collection(const c10::TypePtr& type,
                                                      const std::string& path,
                                                      std::span<const TensorSpec> specs);
  // One for each of the keys.
  [[nodiscard]] Status add_children(const std::vector<c10::TypePtr>& types,
                                    std::span<const TensorSpec> specs);
  [[nodiscard]] c10::IValue build_parts(std::span<const Tensor> tensors, c10::Device place,
                                        bool copied) const;
  [[nodiscard]] Status take_leaf(c10::IValue value, c10::Device place, const Execution& execution,
                                 std::span<const TensorSpec> specs,
                                 std::vector<Tensor>& outputs) const;
  // What the parts are made of, in their order.
  [[nodiscard]] Result<std::vector<c10::IValue>> children_of(const c10::IValue& value) const;

  Part part_ = Part::kTensor;
  std::size_t spec_ = 0;  // of a leaf
  c10::TypePtr type_;     // of a tuple; of what a list or a dict holds
  std::string path_;
  std::vector<Layout> children_;
  std::vector<std::string> keys_;  // of the children
};

}  // namespace slipstream::libtorch
