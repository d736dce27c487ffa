// Sharing ownership of Python objects with the core, whose threads must not touch the GIL.
//
// A tensor that views a NumPy array keeps the array alive. Its last reference often goes on a
// worker thread; taking the GIL there would make the worker wait for the interpreter. So such
// references are parked, and dropped by the next call that comes in from Python with the GIL
// anyway.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

namespace slipstream::bindings {

// A share in `object`. Create with the GIL; drop from any thread.
[[nodiscard]] std::shared_ptr<void> share_python_object(pybind11::object object);

// Drops parked references. Call with the GIL; costs one atomic load when there are none.
void drop_parked_references();

}  // namespace slipstream::bindings
