#include <pybind11/stl.h>

#include <algorithm>
#include <bit>
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

const Tensor& ResultObject::output(std::size_t index) const {
  const Tensor& tensor = response.outputs.at(index);
  if (tensor.data() == nullptr) {
    throw py::value_error("output " + std::to_string(index) + " was not asked for");
  }
  return tensor;
}

namespace {

// Bytes that `write` fills from their begin on; it returns the end of what it wrote.
template <class Write>
py::bytes bytes_of(std::size_t bound, const Write& write) {
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bound));
  if (bytes == nullptr) throw py::error_already_set();
  char* const begin = PyBytes_AS_STRING(bytes);
  Py_ssize_t size = 0;
  {
    const py::gil_scoped_release release;  // nobody else knows the bytes yet
    size = write(begin) - begin;
  }
  if (_PyBytes_Resize(&bytes, size) != 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(bytes);
}

template <class Append>
py::bytes bytes_of_text(const Append& append) {
  std::string text;
  {
    const py::gil_scoped_release release;
    append(text);
  }
  return py::bytes(text);
}

}  // namespace

py::bytes ResultObject::encode_json(std::size_t index, const LabelTable* labels) const {
  const Tensor& tensor = output(index);
  if (labels != nullptr) {
    return bytes_of_text(
        [&](std::string& json) { encode_labels(tensor, labels->labels_json, json); });
  }
  if (tensor.dtype() == DType::kString) {
    return bytes_of_text([&](std::string& json) { encode_tensor(tensor, json); });
  }
  return bytes_of(numbers_bound(tensor), [&](char* out) { return encode_numbers(tensor, out); });
}

py::bytes ResultObject::encode_msgpack(std::size_t index, const LabelTable* labels) const {
  constexpr std::int64_t kMost = 0xFFFFFFFF;  // items of one array
  const Tensor& tensor = output(index);
  const auto dims = tensor.shape().dims();
  if (std::ranges::any_of(dims, [](std::int64_t dim) { return dim > kMost; })) {
    raise_status(invalid_argument("output " + std::to_string(index) +
                                  " is too large for MessagePack; ask for its bytes"));
  }
  if (labels != nullptr) {
    return bytes_of_text(
        [&](std::string& out) { encode_labels_msgpack(tensor, labels->labels_msgpack, out); });
  }
  if (tensor.dtype() == DType::kString) {
    return bytes_of_text([&](std::string& out) { encode_tensor_msgpack(tensor, out); });
  }
  return bytes_of(numbers_bound_msgpack(tensor),
                  [&](char* out) { return encode_numbers_msgpack(tensor, out); });
}

py::tuple ResultObject::encode_raw(std::size_t index) const {
  static_assert(std::endian::native == std::endian::little, "tensors are sent as they lie");
  const Tensor& tensor = output(index);
  if (tensor.dtype() == DType::kString) {
    raise_status(invalid_argument("output " + std::to_string(index) +
                                  " is strings, which have no binary form; ask for MessagePack"));
  }
  const auto dims = tensor.shape().dims();
  return py::make_tuple(py::bytes(reinterpret_cast<const char*>(tensor.data()), tensor.bytes()),
                        std::string(dtype_name(tensor.dtype())),
                        py::tuple(py::cast(std::vector<std::int64_t>(dims.begin(), dims.end()))));
}

void register_result(py::module_& module) {
  py::class_<LabelTable, std::shared_ptr<LabelTable>>(module, "LabelTable")
      .def(py::init([](std::vector<std::string> labels_json,
                       const std::vector<py::bytes>& labels_msgpack) {
             if (labels_json.size() != labels_msgpack.size()) {
               throw py::value_error("labels_json and labels_msgpack differ in number");
             }
             return LabelTable{std::move(labels_json),
                               {labels_msgpack.begin(), labels_msgpack.end()}};
           }),
           "labels_json"_a, "labels_msgpack"_a);
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
      .def_property_readonly("is_shared",
                             [](const ResultObject& self) { return self.response.is_shared; })
      .def_property_readonly("is_inline",
                             [](const ResultObject& self) { return self.response.is_inline; })
      .def("raise_for_status", &ResultObject::raise_for_status)
      .def("outputs", &ResultObject::outputs)
      .def("encode_json", &ResultObject::encode_json, "output"_a, "labels"_a = nullptr)
      .def("encode_msgpack", &ResultObject::encode_msgpack, "output"_a, "labels"_a = nullptr)
      .def("encode_raw", &ResultObject::encode_raw, "output"_a);
}

}  // namespace slipstream::bindings
