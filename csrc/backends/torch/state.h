// State: what a module remembers from one call to the next, as bytes.
//
// A TorchScript module may change its own attributes: a recurrent network keeps its last hidden
// state, an average its count. Requests of different callers would then mix. So each instance has
// slots of its own for the attributes that forward() changes (weights stay shared), which are set
// before a call and read after it: what the caller does with these bytes decides who remembers.
// To requests they are one more input and output, `state`, uint8 of any length; none at all stands
// for how the module was saved.
//
// The bytes, little-endian, attribute after attribute: one of kind (an enum below), then for a
// tensor one of dtype, one of rank, the dimensions as int64, the elements row by row; for a
// number 8. They are meant for the same model in the same process family only; anything else is
// refused by length and kind, and never read out of bounds.
//
// Threads: one at a time. Failure: a Status.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory_resource>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/status.h"
#include "core/tensor.h"

namespace slipstream::libtorch {

inline constexpr const char* kStateName = "state";

// The input and the output that a model with a state has beside its own.
[[nodiscard]] TensorSpec state_spec();

class State {
 public:
  // Of the attributes at `paths` ("encoder.hidden") of a copy of `shared` that `module()` gives.
  // Throws c10::Error, std::bad_alloc.
  //   kInvalidArgument: there is no such attribute, or it is of a type that cannot be kept
  [[nodiscard]] static Result<State> of(const torch::jit::Module& shared,
                                        const std::vector<std::string>& paths);

  // The module to call: with slots of its own, and the weights of `shared`.
  [[nodiscard]] const torch::jit::Module& module() const noexcept { return module_; }

  // Sets the attributes; from no bytes, to how the module was saved.
  //   kInvalidArgument: these bytes are not such a state
  [[nodiscard]] Status restore(const Tensor& bytes);
  // What the attributes are now.
  [[nodiscard]] Tensor saved(std::pmr::memory_resource* memory) const;

 private:
  struct Slot {
    c10::intrusive_ptr<c10::ivalue::Object> object;
    std::size_t number;
    c10::IValue initial;
    std::string path;
  };

  explicit State(torch::jit::Module module) : module_(std::move(module)) {}

  torch::jit::Module module_;
  std::vector<Slot> slots_;
};

}  // namespace slipstream::libtorch
