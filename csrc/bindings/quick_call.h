// QuickCall: one NumPy array in, one out, on the caller's thread.
//
// What stands between a Python caller and a model of a few microseconds takes longer than the
// model: requests, results, keywords. This is the way for what most callers have, which is an array
// that the model can read as it lies, and an idle model. It answers None for anything else, wrong
// input included: then the caller goes the long way (Model.run), which also says what is wrong.
// Both give the same answer and count the same.
//
// Threads: any, with the GIL, which is kept where giving it away takes longer than what runs here.
// Ownership: shares the model. Failure: raises what Model.run would raise.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>

#include "bindings/model.h"
#include "core/tensor.h"

namespace slipstream::bindings {

class QuickCall {
 public:
  // Of models with one input. `output` is the one to answer with; `outputs_wanted` as in
  // RequestOptions. Throws ValueError where the model has no such output or several inputs.
  QuickCall(std::shared_ptr<ModelObject> model, std::size_t output, std::uint64_t outputs_wanted,
            bool accepts_missing);

  // A new array, or None.
  [[nodiscard]] pybind11::object run(const pybind11::handle& x) const;

 private:
  // The rows to execute, or an empty tensor. The array outlives the call, so nobody shares in it.
  [[nodiscard]] Tensor rows_of(const pybind11::handle& x) const;
  [[nodiscard]] pybind11::object answer_of(const Tensor& output) const;

  std::shared_ptr<ModelObject> model_;
  std::size_t output_;
  std::uint64_t outputs_wanted_;
  bool accepts_missing_;
  bool is_possible_;
  std::uint64_t process_;  // forks before this was made: a child has no workers
  pybind11::object array_type_;
  pybind11::dtype input_dtype_;
  pybind11::dtype output_dtype_;
};

}  // namespace slipstream::bindings
