#include "bindings/quick_call.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/numpy_tensor.h"
#include "bindings/python_owner.h"
#include "core/stats/relaxed_counter.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// Above, it matters neither what a call costs nor that it is checked twice.
constexpr std::size_t kMostInputBytes = 64 * 1024;
// An array that is copied to is made sooner than one that shares memory.
constexpr std::size_t kMostCopiedBytes = 4096;
constexpr int kContiguousAligned = 0x0001 | 0x0100;  // NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED

RelaxedCounter forks;

std::uint64_t forks_so_far() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.add(1); });
  if (registered != 0) throw std::bad_alloc();
  return forks.value();
}

// Types whose arrays lie in memory as tensors do.
bool is_plain(DType dtype) noexcept {
  return dtype != DType::kString && dtype != DType::kBfloat16;
}

template <class T>
bool all_finite(const void* data, std::size_t count) noexcept {
  const auto* const values = static_cast<const T*>(data);
  return std::all_of(values, values + count, [](T value) { return std::isfinite(value); });
}

bool is_finite(DType dtype, const void* data, std::size_t count) noexcept {
  if (dtype == DType::kFloat64) return all_finite<double>(data, count);
  if (dtype == DType::kFloat32) return all_finite<float>(data, count);
  return dtype != DType::kFloat16;
}

Shape shape_of(const py::array& array) {
  return Shape(std::span(array.shape(), static_cast<std::size_t>(array.ndim())));
}

}  // namespace

QuickCall::QuickCall(std::shared_ptr<ModelObject> model, std::size_t output,
                     std::uint64_t outputs_wanted, bool accepts_missing)
    : model_(std::move(model)),
      output_(output),
      outputs_wanted_(outputs_wanted),
      accepts_missing_(accepts_missing),
      is_possible_(false),
      process_(forks_so_far()),
      array_type_(py::module_::import("numpy").attr("ndarray")) {
  const ModelSpec& spec = model_->served->spec();
  if (spec.inputs.size() != 1 || output >= spec.outputs.size()) {
    throw py::value_error("a quick call takes a model with one input and that output");
  }
  is_possible_ = is_plain(spec.inputs.front().dtype) && is_plain(spec.outputs[output].dtype);
  if (!is_possible_) return;
  input_dtype_ = numpy_dtype(spec.inputs.front().dtype);
  output_dtype_ = numpy_dtype(spec.outputs[output].dtype);
}

Tensor QuickCall::rows_of(const py::handle& x) const {
  // Exactly arrays: a subclass may mean something else by its elements.
  if (!py::type::handle_of(x).is(array_type_)) return {};
  const auto array = py::reinterpret_borrow<py::array>(x);
  const TensorSpec& spec = model_->served->spec().inputs.front();
  if ((array.flags() & kContiguousAligned) != kContiguousAligned ||
      static_cast<std::size_t>(array.ndim()) != spec.dims.size()) {
    return {};
  }
  const auto bytes = static_cast<std::size_t>(array.nbytes());
  if (bytes > kMostInputBytes) return {};
  const py::dtype given = array.dtype();
  const auto count = static_cast<std::size_t>(array.size());
  if (given.is(input_dtype_)) {
    if (!accepts_missing_ && !is_finite(spec.dtype, array.data(), count)) return {};
    return Tensor::wrap(spec.dtype, shape_of(array), const_cast<void*>(array.data()), nullptr);
  }
  // float32 rows for a model that takes float64: what callers of XGBoost have.
  if (spec.dtype != DType::kFloat64 || !given.is(py::dtype::of<float>())) return {};
  if (!accepts_missing_ && !is_finite(DType::kFloat32, array.data(), count)) return {};
  Tensor rows = Tensor::allocate(DType::kFloat64, shape_of(array));
  std::copy_n(static_cast<const float*>(array.data()), count, rows.as<double>().data());
  return rows;
}

py::object QuickCall::answer_of(const Tensor& output) const {
  if (output.bytes() > kMostCopiedBytes) return array_from_tensor(output);
  const auto dims = output.shape().dims();
  py::array array(output_dtype_, std::vector<py::ssize_t>(dims.begin(), dims.end()));
  std::memcpy(array.mutable_data(), output.data(), output.bytes());
  return array;
}

py::object QuickCall::run(const py::handle& x) const {
  if (!is_possible_ || process_ != forks.value()) return py::none();
  const std::array<Tensor, 1> inputs{rows_of(x)};
  if (inputs[0].data() == nullptr) return py::none();
  drop_parked_references();
  RequestOptions options{.outputs_wanted = outputs_wanted_};
  std::optional<Response> response = model_->served->try_run_inline(inputs, options);
  if (!response) {  // what takes longer leaves the GIL to others meanwhile
    options.caller_waits = true;
    const py::gil_scoped_release release;
    response = model_->served->try_run_inline(inputs, options);
  }
  if (!response) return py::none();
  raise_unless_ok(response->status);
  return answer_of(response->outputs[output_]);
}

}  // namespace slipstream::bindings
