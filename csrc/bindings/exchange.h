// Exchange: one request on its express way, from its head to its answer.
//
//   admitted ─► body arrives ─► answered at once
//                            ├► waits for a batch ─► answered when its route is drained
//                            └► declined ─► answered by the general way, in Python
//
// A Python object, because Granian's coroutine of the request awaits it (it is done when the answer
// is on its way) and because it is its own callback for the body. It is written against CPython's
// C API and not as a pybind11 class: the protocol of awaiting is five calls a request, which cost
// more through pybind11 than everything else that happens here.
//
// Threads: any, with the GIL. Up to the call of PredictRoute::answer an exchange belongs to the
// thread that brings its body; from then on to whoever drains the route.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "core/clock.h"

namespace slipstream::bindings {

class Front;
struct FrontRoute;

struct Exchange {
  PyObject_HEAD;
  Front* front;  // outlives its exchanges: `keeper` is the Python object that owns it
  PyObject* keeper;
  const FrontRoute* route;
  PyObject* scope;
  PyObject* proto;
  PyObject* headers;
  PyObject* request_id;
  PyObject* coroutine;  // that awaits this; null before it begins and after the end
  PyObject* arriving;   // what will bring the body; null once it has
  PyObject* given_up;   // why the body is not awaited any longer; null: it is
  std::int64_t reserved_bytes;
  std::uint64_t tag;  // of a request that waits for its batch; else 0
  Nanoseconds began_ns;
  bool is_over;
  Exchange* previous;  // in the front's list of exchanges that are not over
  Exchange* next;
};

// The type, made when the module is. Throws what Python raised.
PyTypeObject* make_exchange_type(pybind11::module_& module);

[[nodiscard]] bool is_exchange(PyObject* object) noexcept;

// A new exchange that holds references of its own to everything given. Null: Python has raised.
[[nodiscard]] Exchange* new_exchange(Front& front, PyObject* keeper, const FrontRoute& route,
                                     PyObject* scope, PyObject* proto, PyObject* headers,
                                     PyObject* request_id, std::int64_t reserved_bytes) noexcept;

}  // namespace slipstream::bindings
