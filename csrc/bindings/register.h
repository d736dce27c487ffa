// One function per area; module.cc calls them in order (a class before its users).
#pragma once

#include <pybind11/pybind11.h>

namespace slipstream::bindings {

void register_inputs(pybind11::module_& module);
void register_result(pybind11::module_& module);
void register_completion_queue(pybind11::module_& module);
void register_model(pybind11::module_& module);
void register_predict_route(pybind11::module_& module);
void register_front(pybind11::module_& module);
void register_engine(pybind11::module_& module);
void register_compose(pybind11::module_& module);
void register_cuda(pybind11::module_& module);

}  // namespace slipstream::bindings
