#include <pybind11/stl.h>

#include "bindings/register.h"
#include "core/status.h"
#include "cuda/survey.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

py::dict device_of(const cuda::CudaProperties& device) {
  return py::dict(
      "index"_a = device.index, "name"_a = device.name,
      "compute_capability"_a = py::make_tuple(device.compute_major, device.compute_minor),
      "multiprocessors"_a = device.multiprocessors, "copy_engines"_a = device.copy_engines,
      "total_memory_bytes"_a = device.total_bytes, "pci_bus_id"_a = device.pci_bus_id);
}

// Not an exception where there is no CUDA: why there is none is what was asked for.
py::dict cuda_status() {
  const Result<cuda::CudaSurvey> found = [] {
    const py::gil_scoped_release release;  // the driver may take a second to start
    return cuda::survey();
  }();
  py::list devices;
  if (!found.is_ok()) {
    return py::dict("reason"_a = found.status().message(), "driver_cuda_version"_a = py::none(),
                    "devices"_a = devices);
  }
  for (const cuda::CudaProperties& device : found.value().devices)
    devices.append(device_of(device));
  return py::dict("reason"_a = py::none(),
                  "driver_cuda_version"_a = found.value().driver_cuda_version,
                  "devices"_a = devices);
}

}  // namespace

void register_cuda(py::module_& module) {
  module.def("cuda_status", &cuda_status);
}

}  // namespace slipstream::bindings
