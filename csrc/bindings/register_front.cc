#include <pybind11/stl.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <unordered_map>

#include "bindings/exchange.h"
#include "bindings/front.h"
#include "bindings/gate.h"
#include "bindings/register.h"
#include "core/this_thread.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

// The two calls that every request takes, as plain C functions: pybind11 would pack and unpack
// their arguments. Their `self` is a capsule with a share in the front.
constexpr const char* kCapsule = "slipstream.Front";

Front& front_of(PyObject* capsule) noexcept {
  return **static_cast<std::shared_ptr<Front>*>(PyCapsule_GetPointer(capsule, kCapsule));
}

template <class Call>
PyObject* guarded(const Call& call) noexcept {
  try {
    return call().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* call_soon(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                    PyObject* keywords) {
  return guarded([&] {
    return front_of(self).call_soon(arguments, static_cast<std::size_t>(count), keywords);
  });
}

PyObject* admit(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 2) {
    PyErr_SetString(PyExc_TypeError, "admit takes a scope and a transport");
    return nullptr;
  }
  return guarded([&] { return front_of(self).admit(arguments[0], arguments[1], self); });
}

template <class Function>
PyCFunction method_of(Function* function) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef call_soon_method{"call_soon", method_of(&call_soon), METH_FASTCALL | METH_KEYWORDS,
                             nullptr};
PyMethodDef admit_method{"admit", method_of(&admit), METH_FASTCALL, nullptr};

py::object function_of(PyMethodDef& method, const std::shared_ptr<Front>& front) {
  const py::capsule share(new std::shared_ptr<Front>(front), kCapsule, [](PyObject* capsule) {
    delete static_cast<std::shared_ptr<Front>*>(PyCapsule_GetPointer(capsule, kCapsule));
  });
  PyObject* const made = PyCFunction_New(&method, share.ptr());
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

}  // namespace

void register_front(py::module_& module) {
  make_exchange_type(module);
  module.def(
      "shorten_turns",
      [](pid_t thread, double length_ms) {
        return shorten_turns(thread, std::chrono::nanoseconds(std::llround(length_ms * 1e6)));
      },
      "thread"_a, "length_ms"_a);
  py::class_<Gate, std::shared_ptr<Gate>>(module, "Gate")
      .def(py::init<std::int64_t, std::int64_t>(), "max_requests"_a, "max_body_bytes"_a)
      .def("try_enter", &Gate::try_enter)
      .def("try_reserve", &Gate::try_reserve, "count"_a)
      .def("leave", &Gate::leave, "reserved_bytes"_a)
      .def("close", &Gate::close)
      .def_property("max_requests", &Gate::max_requests, &Gate::set_max_requests)
      .def_property_readonly("active", &Gate::active)
      .def_property_readonly("body_bytes", &Gate::body_bytes)
      .def_property_readonly("received_bytes", &Gate::received_bytes)
      .def_property_readonly("is_closed", &Gate::is_closed);
  py::class_<Front, std::shared_ptr<Front>>(module, "Front")
      .def(py::init<py::object, py::object, std::shared_ptr<Gate>, py::object, std::int64_t,
                    std::string, std::unordered_map<std::string, int>>(),
           "hooks"_a, "pass_on"_a, "gate"_a, "keys"_a, "max_body_bytes"_a, "process_id"_a,
           "statuses"_a)
      .def("add_route", &Front::add_route, "route"_a, "path"_a, "id_prefix"_a, "express"_a)
      .def_property_readonly(
          "call_soon",
          [](const std::shared_ptr<Front>& front) { return function_of(call_soon_method, front); })
      .def_property_readonly(
          "admit",
          [](const std::shared_ptr<Front>& front) { return function_of(admit_method, front); })
      .def("drain", &Front::drain, "express"_a)
      .def("answers", &Front::answers)
      .def("older_than", &Front::older_than, "seconds"_a)
      .def_readwrite("is_stirred", &Front::is_stirred);
}

}  // namespace slipstream::bindings
