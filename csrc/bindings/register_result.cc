#include <pybind11/stl.h>

#include <memory>

#include "bindings/errors.h"
#include "bindings/numpy_tensor.h"
#include "bindings/register.h"
#include "bindings/result.h"
#include "core/status.h"
#include "wire/encode.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {

void ResultObject::raise_for_status() const {
  raise_unless_ok(response.status);
}

py::list ResultObject::outputs() const {
  py::list arrays;
  for (const Tensor& output : response.outputs) arrays.append(array_from_tensor(output));
  return arrays;
}

py::bytes ResultObject::encode_json(std::size_t index, const LabelTable* labels) const {
  const Tensor& tensor = response.outputs.at(index);
  if (tensor.data() == nullptr) {
    throw py::value_error("output " + std::to_string(index) + " was not asked for");
  }
  std::string json;
  {
    const py::gil_scoped_release release;
    if (labels != nullptr) {
      encode_labels(tensor, labels->labels_json, json);
    } else {
      encode_tensor(tensor, json);
    }
  }
  return py::bytes(json);
}

void register_result(py::module_& module) {
  py::class_<LabelTable, std::shared_ptr<LabelTable>>(module, "LabelTable")
      .def(py::init([](std::vector<std::string> labels_json) {
             return LabelTable{std::move(labels_json)};
           }),
           "labels_json"_a);
  py::class_<ResultObject, std::shared_ptr<ResultObject>>(module, "Result")
      .def_property_readonly("ok",
                             [](const ResultObject& self) { return self.response.status.is_ok(); })
      .def_property_readonly("code",
                             [](const ResultObject& self) {
                               return std::string(status_code_name(self.response.status.code()));
                             })
      .def_property_readonly(
          "message", [](const ResultObject& self) { return self.response.status.message(); })
      .def("error",
           [](const ResultObject& self) -> py::object {
             if (self.response.status.is_ok()) return py::none();
             return exception_of(self.response.status);
           })
      .def_property_readonly("total_ns",
                             [](const ResultObject& self) { return self.response.total_ns; })
      .def_property_readonly("execute_ns",
                             [](const ResultObject& self) { return self.response.execute_ns; })
      .def_property_readonly("batch_rows",
                             [](const ResultObject& self) { return self.response.batch_rows; })
      .def("raise_for_status", &ResultObject::raise_for_status)
      .def("outputs", &ResultObject::outputs)
      .def("encode_json", &ResultObject::encode_json, "output"_a, "labels"_a = nullptr);
}

}  // namespace slipstream::bindings
