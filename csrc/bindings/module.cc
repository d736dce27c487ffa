// slipstream._engine: the compiled core as a Python module. Its typed face is
// slipstream/_engine.pyi.
#include <pybind11/pybind11.h>

#include "bindings/register.h"

PYBIND11_MODULE(_engine, module) {
  module.doc() = "slipstream's compiled core: engine, models, requests and their answers.";
  slipstream::bindings::register_inputs(module);
  slipstream::bindings::register_result(module);
  slipstream::bindings::register_completion_queue(module);
  slipstream::bindings::register_model(module);
  slipstream::bindings::register_predict_route(module);
  slipstream::bindings::register_front(module);
  slipstream::bindings::register_engine(module);
  slipstream::bindings::register_compose(module);
  slipstream::bindings::register_cuda(module);
}
