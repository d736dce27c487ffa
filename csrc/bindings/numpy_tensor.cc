#include "bindings/numpy_tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "bindings/errors.h"
#include "bindings/pinned_arrays.h"
#include "bindings/python_owner.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

Shape shape_of(const py::array& array) {
  std::vector<std::int64_t> dims(array.shape(), array.shape() + array.ndim());
  return Shape(std::span<const std::int64_t>(dims));
}

bool is_missing(const py::handle& item) {
  return item.is_none() || (PyFloat_Check(item.ptr()) && std::isnan(PyFloat_AS_DOUBLE(item.ptr())));
}

Tensor strings_from_array(const TensorSpec& spec, const py::array& array) {
  // str arrays ("<U7") become object arrays of str, so that one loop reads both.
  const py::array objects = py::reinterpret_steal<py::array>(
      py::array_t<py::object, py::array::c_style>::ensure(array.attr("astype")("O")).release());
  Tensor tensor = Tensor::allocate(DType::kString, shape_of(array));
  auto* const* items = static_cast<PyObject* const*>(objects.data());
  for (std::string& text : tensor.strings()) {
    const py::handle item(*items++);
    if (is_missing(item)) {
      text = kMissingString;
    } else if (PyUnicode_Check(item.ptr())) {
      text = py::cast<std::string>(item);
    } else {
      raise_status(invalid_argument("input '" + spec.name + "' takes strings, got " +
                                    std::string(py::str(py::type::of(item)))));
    }
  }
  return tensor;
}

// Rounds to nearest even, as hardware does; NaN keeps its sign and stays a NaN.
std::uint16_t bfloat16_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

Tensor bfloat16_from_array(const py::array& array) {
  const py::array_t<float> floats(array);
  Tensor tensor = Tensor::allocate(DType::kBfloat16, shape_of(array));
  const float* source = floats.data();
  for (std::uint16_t& element : tensor.as<std::uint16_t>())
    element = bfloat16_from_float(*source++);
  return tensor;
}

py::object bfloat16_to_array(const Tensor& tensor) {
  const auto dims = tensor.shape().dims();
  py::array_t<float> array(std::vector<py::ssize_t>(dims.begin(), dims.end()));
  float* target = array.mutable_data();
  for (const std::uint16_t element : tensor.as<std::uint16_t>()) {
    *target++ = std::bit_cast<float>(static_cast<std::uint32_t>(element) << 16);
  }
  return array;
}

py::object strings_to_array(const Tensor& tensor) {
  const auto dims = tensor.shape().dims();
  py::array array(py::dtype("O"), std::vector<py::ssize_t>(dims.begin(), dims.end()));
  auto** items = static_cast<PyObject**>(array.mutable_data());
  for (const std::string& text : tensor.strings()) {
    py::object item = text == kMissingString ? py::object(py::none()) : py::object(py::str(text));
    PyObject* const old = *items;  // a new object array holds None or null
    *items++ = item.release().ptr();
    Py_XDECREF(old);
  }
  return array;
}

constexpr int kContiguousAligned = 0x0001 | 0x0100;  // NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED

bool is_plain(const py::array& array, const py::dtype& dtype) {
  return (array.flags() & kContiguousAligned) == kContiguousAligned && array.dtype().is(dtype);
}

// float32 rows for a model that takes float64: what callers of XGBoost have. NumPy's way of
// converting takes longer than many a model.
Tensor doubles_from_floats(const py::array& array) {
  Tensor tensor = Tensor::allocate(DType::kFloat64, shape_of(array));
  const auto doubles = tensor.as<double>();
  std::copy_n(static_cast<const float*>(array.data()), doubles.size(), doubles.data());
  return tensor;
}

// The array as the spec's dtype, C-contiguous and aligned; itself when it is all that already.
py::array as_contiguous(const TensorSpec& spec, const py::array& array) {
  const py::dtype wanted = numpy_dtype(spec.dtype);
  if (is_plain(array, wanted)) return array;
  const py::module_ numpy = py::module_::import("numpy");
  if (!py::cast<bool>(numpy.attr("can_cast")(array.dtype(), wanted, "same_kind"))) {
    raise_status(invalid_argument("input '" + spec.name + "' takes " +
                                  std::string(dtype_name(spec.dtype)) + ", got an array of " +
                                  std::string(py::str(array.dtype()))));
  }
  return numpy.attr("require")(array, wanted, py::make_tuple("C", "A"));
}

}  // namespace

py::dtype numpy_dtype(DType dtype) {
  switch (dtype) {
    case DType::kString:
      return py::dtype("O");
    case DType::kBfloat16:
      return py::dtype::of<float>();
    case DType::kFloat64:
      return py::dtype::of<double>();
    case DType::kFloat32:
      return py::dtype::of<float>();
    case DType::kInt64:
      return py::dtype::of<std::int64_t>();
    default:
      return py::dtype(std::string(dtype_name(dtype)));
  }
}

Tensor tensor_from_array(const TensorSpec& spec, const py::handle& array) {
  if (!py::isinstance<py::array>(array)) {
    raise_status(invalid_argument("input '" + spec.name + "' takes a NumPy array, got " +
                                  std::string(py::str(py::type::of(array)))));
  }
  const auto given = py::reinterpret_borrow<py::array>(array);
  if (spec.dtype == DType::kString) return strings_from_array(spec, given);
  if (spec.dtype == DType::kBfloat16) return bfloat16_from_array(as_contiguous(spec, given));
  if (spec.dtype == DType::kFloat64 && is_plain(given, py::dtype::of<float>())) {
    return doubles_from_floats(given);
  }
  py::array contiguous = as_contiguous(spec, given);
  Shape shape = shape_of(contiguous);
  // The core never writes inputs; a read-only array is as good as any.
  void* const data = const_cast<void*>(contiguous.data());
  Tensor tensor =
      Tensor::wrap(spec.dtype, std::move(shape), data, share_python_object(std::move(contiguous)));
  if (is_pinned(data, tensor.bytes())) tensor.set_pinned();
  return tensor;
}

py::object array_from_tensor(const Tensor& tensor) {
  if (tensor.data() == nullptr) return py::none();
  if (tensor.dtype() == DType::kString) return strings_to_array(tensor);
  if (tensor.dtype() == DType::kBfloat16) return bfloat16_to_array(tensor);
  const auto dims = tensor.shape().dims();
  auto* const share = new std::shared_ptr<void>(tensor.owner());
  const py::capsule keeper(share,
                           [](void* held) { delete static_cast<std::shared_ptr<void>*>(held); });
  return py::array(numpy_dtype(tensor.dtype()), std::vector<py::ssize_t>(dims.begin(), dims.end()),
                   tensor.data(), keeper);
}

}  // namespace slipstream::bindings
