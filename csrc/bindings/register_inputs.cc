#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings/errors.h"
#include "bindings/input_decoder.h"
#include "bindings/inputs.h"
#include "bindings/numpy_tensor.h"
#include "bindings/register.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

InputsObject wrap_arrays(const py::sequence& specs, const py::sequence& arrays) {
  if (specs.size() != arrays.size()) {
    raise_status(invalid_argument("the model takes " + std::to_string(specs.size()) +
                                  " inputs, got " + std::to_string(arrays.size())));
  }
  InputsObject inputs;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    inputs.tensors.push_back(tensor_from_array(tensor_spec_of(specs[i]), arrays[i]));
  }
  return inputs;
}

}  // namespace

TensorSpec tensor_spec_of(const py::handle& triple) {
  auto [name, dtype, dims] =
      py::cast<std::tuple<std::string, std::string, std::vector<std::int64_t>>>(triple);
  const auto parsed = dtype_from_name(dtype);
  if (!parsed) throw py::value_error("input '" + name + "': '" + dtype + "' is not a dtype");
  return {std::move(name), *parsed, std::move(dims)};
}

py::tuple triple_of(const TensorSpec& spec) {
  return py::make_tuple(spec.name, std::string(dtype_name(spec.dtype)),
                        py::tuple(py::cast(spec.dims)));
}

void register_inputs(py::module_& module) {
  py::class_<InputsObject>(module, "Inputs")
      .def_property_readonly("rows", &InputsObject::rows)
      .def("arrays", [](const InputsObject& self) {
        py::list arrays;
        for (const Tensor& tensor : self.tensors) arrays.append(array_from_tensor(tensor));
        return arrays;
      });
  py::class_<InputDecoder, std::shared_ptr<InputDecoder>>(module, "InputDecoder")
      .def(py::init<const std::string&, const py::sequence&, std::vector<std::string>, bool,
                    std::vector<std::size_t>, std::size_t, std::int64_t, bool>(),
           "layout"_a, "inputs"_a, "column_names"_a = std::vector<std::string>{},
           "accepts_missing"_a = true, "ignored"_a = std::vector<std::size_t>{}, "max_depth"_a = 64,
           "max_rows"_a = 1'000'000, "takes_text"_a = false)
      .def("decode", py::overload_cast<const py::buffer&>(&InputDecoder::decode, py::const_),
           "data"_a)
      .def("decode_msgpack", &InputDecoder::decode_msgpack, "data"_a)
      .def("decode_tensor", &InputDecoder::decode_tensor, "data"_a, "dtype"_a, "shape"_a);
  module.def("wrap_arrays", &wrap_arrays, "specs"_a, "arrays"_a);
}

}  // namespace slipstream::bindings
