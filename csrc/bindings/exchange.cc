#include "bindings/exchange.h"

#include <structmember.h>

#include <cstddef>
#include <exception>

#include "bindings/front.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

PyTypeObject* exchange_type = nullptr;

Exchange* self_of(PyObject* object) noexcept {
  return reinterpret_cast<Exchange*>(object);
}

void deallocate(PyObject* object) {
  Exchange* const self = self_of(object);
  self->front->close(*self);  // one that never began
  Py_CLEAR(self->scope);
  Py_CLEAR(self->proto);
  Py_CLEAR(self->headers);
  Py_CLEAR(self->request_id);
  Py_CLEAR(self->coroutine);
  Py_CLEAR(self->arriving);
  Py_CLEAR(self->given_up);
  Py_CLEAR(self->keeper);
  PyTypeObject* const type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

// Awaiting: yields itself until the answer is on its way.
PyObject* iterate(PyObject* object) {
  return Py_NewRef(object);
}

PyObject* next_step(PyObject* object) {
  return self_of(object)->is_over ? nullptr : Py_NewRef(object);
}

PyObject* call(PyObject* object, PyObject* arguments, PyObject* /*keywords*/) {
  PyObject* arriving = nullptr;
  if (PyArg_ParseTuple(arguments, "O", &arriving) == 0) return nullptr;
  try {
    self_of(object)->front->body_arrived(*self_of(object), arriving);
    return Py_NewRef(Py_None);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* close(PyObject* object, PyObject* /*none*/) {
  Exchange& self = *self_of(object);
  return PyBool_FromLong(self.front->close(self) ? 1 : 0);
}

PyObject* finish(PyObject* object, PyObject* /*none*/) {
  Exchange& self = *self_of(object);
  return self.front->finish(self) ? Py_NewRef(Py_None) : nullptr;
}

PyObject* give_up(PyObject* object, PyObject* error) {
  Exchange& self = *self_of(object);
  if (self.arriving == nullptr || self.given_up != nullptr) Py_RETURN_NONE;
  self.given_up = Py_NewRef(error);
  const py::object arriving = py::reinterpret_borrow<py::object>(self.arriving);  // cleared by it
  return PyObject_CallMethod(arriving.ptr(), "cancel", nullptr);
}

PyObject* route_of(PyObject* object, void* /*closure*/) {
  return Py_NewRef(self_of(object)->route->route.ptr());
}

PyObject* express_of(PyObject* object, void* /*closure*/) {
  return Py_NewRef(self_of(object)->route->express_object.ptr());
}

PyObject* age_of(PyObject* object, void* /*closure*/) {
  return PyFloat_FromDouble(static_cast<double>(now_ns() - self_of(object)->began_ns) / 1e9);
}

PyObject* is_reading(PyObject* object, void* /*closure*/) {
  return PyBool_FromLong(self_of(object)->arriving != nullptr ? 1 : 0);
}

PyMemberDef members[] = {
    {"scope", T_OBJECT, offsetof(Exchange, scope), READONLY, nullptr},
    {"proto", T_OBJECT, offsetof(Exchange, proto), READONLY, nullptr},
    {"headers", T_OBJECT, offsetof(Exchange, headers), READONLY, nullptr},
    {"request_id", T_OBJECT, offsetof(Exchange, request_id), READONLY, nullptr},
    {"given_up", T_OBJECT, offsetof(Exchange, given_up), READONLY, nullptr},
    {"tag", T_ULONGLONG, offsetof(Exchange, tag), READONLY, nullptr},
    {"is_over", T_BOOL, offsetof(Exchange, is_over), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef properties[] = {
    {"route", &route_of, nullptr, nullptr, nullptr},
    {"express", &express_of, nullptr, nullptr, nullptr},
    {"age_s", &age_of, nullptr, nullptr, nullptr},
    {"is_reading", &is_reading, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"close", &close, METH_NOARGS, nullptr},
    {"finish", &finish, METH_NOARGS, nullptr},
    {"give_up", &give_up, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

template <class Function>
void* slot_of(Function* function) noexcept {
  return reinterpret_cast<void*>(function);
}

}  // namespace

PyTypeObject* make_exchange_type(py::module_& module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, slot_of(&deallocate)},
      {Py_tp_call, slot_of(&call)},
      {Py_am_await, slot_of(&iterate)},
      {Py_tp_iter, slot_of(&iterate)},
      {Py_tp_iternext, slot_of(&next_step)},
      {Py_tp_members, members},
      {Py_tp_getset, properties},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  PyType_Spec spec = {
      .name = "slipstream._engine.Exchange",
      .basicsize = sizeof(Exchange),
      .itemsize = 0,
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
      .slots = slots,
  };
  PyObject* const made = PyType_FromSpec(&spec);
  if (made == nullptr) throw py::error_already_set();
  exchange_type = reinterpret_cast<PyTypeObject*>(made);
  module.attr("Exchange") = py::reinterpret_borrow<py::object>(made);
  return exchange_type;
}

bool is_exchange(PyObject* object) noexcept {
  return Py_IS_TYPE(object, exchange_type);
}

Exchange* new_exchange(Front& front, PyObject* keeper, const FrontRoute& route, PyObject* scope,
                       PyObject* proto, PyObject* headers, PyObject* request_id,
                       std::int64_t reserved_bytes) noexcept {
  PyObject* const made = exchange_type->tp_alloc(exchange_type, 0);  // zeroed
  if (made == nullptr) return nullptr;
  Exchange* const self = self_of(made);
  self->front = &front;
  self->keeper = Py_NewRef(keeper);
  self->route = &route;
  self->scope = Py_NewRef(scope);
  self->proto = Py_NewRef(proto);
  self->headers = Py_NewRef(headers);
  self->request_id = Py_NewRef(request_id);
  self->reserved_bytes = reserved_bytes;
  self->began_ns = now_ns();
  return self;
}

}  // namespace slipstream::bindings
