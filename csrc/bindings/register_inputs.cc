#include <pybind11/stl.h>

#include <string_view>

#include "bindings/errors.h"
#include "bindings/inputs.h"
#include "bindings/numpy_tensor.h"
#include "bindings/register.h"
#include "wire/decode.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

Layout layout_of(const std::string& name) {
  if (name == "matrix") return Layout::kMatrix;
  if (name == "columns") return Layout::kColumns;
  if (name == "tensors") return Layout::kTensors;
  throw py::value_error("layout '" + name + "' is not one of matrix, columns, tensors");
}

// Decodes the JSON of one model's `data`. Immutable; any thread.
class JsonDecoder {
 public:
  JsonDecoder(const std::string& layout, const py::sequence& inputs,
              std::vector<std::string> column_names, bool accepts_missing,
              std::vector<std::size_t> ignored, std::size_t max_depth, std::int64_t max_rows) {
    schema_.layout = layout_of(layout);
    for (const py::handle input : inputs) schema_.inputs.push_back(tensor_spec_of(input));
    schema_.column_names = std::move(column_names);
    schema_.accepts_missing = accepts_missing;
    schema_.ignored = std::move(ignored);
    limits_.max_depth = max_depth;
    limits_.max_rows = max_rows;
  }

  [[nodiscard]] InputsObject decode(const py::buffer& data) const {
    const py::buffer_info info = data.request();
    if (info.itemsize != 1 || info.ndim != 1) throw py::value_error("data must be bytes");
    const std::string_view json(static_cast<const char*>(info.ptr),
                                static_cast<std::size_t>(info.size));
    Result<std::vector<Tensor>> decoded = [&] {
      // Below this the GIL's hand-over costs more than the parsing it would let others run beside.
      if (json.size() < kReleaseAboveBytes) return decode_now(json);
      const py::gil_scoped_release release;
      return decode_now(json);
    }();
    raise_unless_ok(decoded.status());
    return {std::move(decoded).value()};
  }

 private:
  static constexpr std::size_t kReleaseAboveBytes = 16 * 1024;

  [[nodiscard]] Result<std::vector<Tensor>> decode_now(std::string_view json) const noexcept {
    return decode_inputs(json, schema_, limits_, std::pmr::new_delete_resource());
  }

  InputSchema schema_;
  DecodeLimits limits_;
};

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
  py::class_<JsonDecoder>(module, "JsonDecoder")
      .def(py::init<const std::string&, const py::sequence&, std::vector<std::string>, bool,
                    std::vector<std::size_t>, std::size_t, std::int64_t>(),
           "layout"_a, "inputs"_a, "column_names"_a = std::vector<std::string>{},
           "accepts_missing"_a = true, "ignored"_a = std::vector<std::size_t>{}, "max_depth"_a = 64,
           "max_rows"_a = 1'000'000)
      .def("decode", &JsonDecoder::decode, "data"_a);
  module.def("wrap_arrays", &wrap_arrays, "specs"_a, "arrays"_a);
}

}  // namespace slipstream::bindings
