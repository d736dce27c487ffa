// Status -> Python exception, the one translation on the way out of the core.
#pragma once

#include <pybind11/pybind11.h>

#include "core/status.h"

namespace slipstream::bindings {

// The name of the class of slipstream.errors that stands for the code.
[[nodiscard]] const char* error_class_of(StatusCode code) noexcept;

// The exception class of slipstream.errors that stands for the code, instantiated with the message.
[[nodiscard]] pybind11::object exception_of(const Status& status);

// Throws it. Precondition: !status.is_ok(); the GIL is held.
[[noreturn]] void raise_status(const Status& status);

inline void raise_unless_ok(const Status& status) {
  if (!status.is_ok()) raise_status(status);
}

}  // namespace slipstream::bindings
