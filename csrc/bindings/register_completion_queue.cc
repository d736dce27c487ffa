#include <pybind11/pybind11.h>

#include "bindings/completion_queue.h"
#include "bindings/python_owner.h"
#include "bindings/register.h"
#include "bindings/result.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

py::list drain(CompletionQueue& queue) {
  drop_parked_references();
  thread_local std::vector<CompletionQueue::Item> items;  // its memory is reused by every drain
  queue.drain(items);
  py::list completed(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto result = std::make_shared<ResultObject>(ResultObject{std::move(items[i].second)});
    completed[i] = py::make_tuple(items[i].first, std::move(result));
  }
  items.clear();
  return completed;
}

}  // namespace

void register_completion_queue(py::module_& module) {
  py::class_<CompletionQueue, std::shared_ptr<CompletionQueue>>(module, "CompletionQueue")
      .def(py::init<>())
      .def("fileno", &CompletionQueue::file_descriptor)
      .def("drain", &drain)
      .def("wait", &CompletionQueue::wait, "timeout_ms"_a, py::call_guard<py::gil_scoped_release>())
      .def("wake", &CompletionQueue::wake);
}

}  // namespace slipstream::bindings
