#include "bindings/errors.h"

namespace py = pybind11;

namespace slipstream::bindings {

const char* error_class_of(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::kMalformed:
      return "MalformedInputError";
    case StatusCode::kInvalidArgument:
      return "InvalidInputError";
    case StatusCode::kNotFound:
    case StatusCode::kFailedPrecondition:
      return "ModelLoadError";
    case StatusCode::kDeadlineExceeded:
      return "DeadlineExceededError";
    case StatusCode::kCancelled:
      return "RequestCancelledError";
    case StatusCode::kResourceExhausted:
      return "QueueFullError";
    case StatusCode::kUnavailable:
      return "UnavailableError";
    case StatusCode::kOk:
    case StatusCode::kInternal:
      break;
  }
  return "InferenceError";
}

py::object exception_of(const Status& status) {
  const py::object type =
      py::module_::import("slipstream.errors").attr(error_class_of(status.code()));
  // A backend's message may quote bytes of a model file; never let them fail the report itself.
  const std::string& text = status.message();
  return type(py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace")));
}

void raise_status(const Status& status) {
  const py::object exception = exception_of(status);
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
  throw py::error_already_set();
}

}  // namespace slipstream::bindings
