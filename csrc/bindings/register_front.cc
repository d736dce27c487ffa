#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "bindings/exchange.h"
#include "bindings/front.h"
#include "bindings/gate.h"
#include "bindings/register.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {

void register_front(py::module_& module) {
  make_exchange_type(module);
  py::class_<Gate, std::shared_ptr<Gate>>(module, "Gate")
      .def(py::init<std::int64_t, std::int64_t>(), "max_requests"_a, "max_body_bytes"_a)
      .def("try_enter", &Gate::try_enter)
      .def("try_reserve", &Gate::try_reserve, "count"_a)
      .def("leave", &Gate::leave, "reserved_bytes"_a)
      .def("close", &Gate::close)
      .def_property_readonly("active", &Gate::active)
      .def_property_readonly("body_bytes", &Gate::body_bytes)
      .def_property_readonly("is_closed", &Gate::is_closed);
  py::class_<Front, std::shared_ptr<Front>>(module, "Front")
      .def(py::init<py::object, py::object, std::shared_ptr<Gate>, py::object, std::int64_t,
                    std::string, std::unordered_map<std::string, int>>(),
           "hooks"_a, "pass_on"_a, "gate"_a, "keys"_a, "max_body_bytes"_a, "process_id"_a,
           "statuses"_a)
      .def("add_route", &Front::add_route, "route"_a, "path"_a, "id_prefix"_a, "express"_a)
      .def("call_soon", &Front::call_soon)
      .def("admit", &Front::admit, "scope"_a, "proto"_a)
      .def("drain", &Front::drain, "express"_a)
      .def("older_than", &Front::older_than, "seconds"_a)
      .def_readwrite("is_stirred", &Front::is_stirred);
}

}  // namespace slipstream::bindings
