#include <pybind11/stl.h>

#include <cmath>

#include "bindings/errors.h"
#include "bindings/model.h"
#include "bindings/register.h"
#include "core/engine.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

std::shared_ptr<ModelObject> load(const std::shared_ptr<Engine>& engine, const std::string& name,
                                  const std::string& backend, const std::string& path,
                                  std::map<std::string, std::string> options, std::size_t instances,
                                  std::size_t max_instances, std::int64_t max_batch_rows,
                                  bool batching, std::size_t queue_capacity, double inline_limit_us,
                                  int worker_nice) {
  Result<std::shared_ptr<ServedModel>> served = [&] {
    const py::gil_scoped_release release;
    ServeOptions serve;
    serve.name = name;
    serve.instances = instances;
    serve.max_instances = max_instances;
    serve.batcher.max_batch_rows = max_batch_rows;
    serve.batcher.batchable = batching;
    serve.batcher.queue_capacity = queue_capacity;
    serve.worker_nice = worker_nice;
    serve.inline_limit_ns = static_cast<Nanoseconds>(inline_limit_us * 1e3);
    return engine->load(backend, {.path = path, .options = std::move(options), .name = name},
                        std::move(serve));
  }();
  raise_unless_ok(served.status());
  return share_model(engine, std::move(served).value());
}

}  // namespace

void register_engine(py::module_& module) {
  py::class_<Engine, std::shared_ptr<Engine>>(module, "Engine",
                                              py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](std::vector<std::string> backend_directories, std::uint32_t max_in_flight) {
             return std::make_shared<Engine>(
                 EngineConfig{std::move(backend_directories), max_in_flight});
           }),
           "backend_directories"_a, "max_in_flight"_a = 8192)
      .def("load", &load, py::kw_only(), "name"_a, "backend"_a, "path"_a,
           "options"_a = std::map<std::string, std::string>{}, "instances"_a = 1,
           "max_instances"_a = 0, "max_batch_rows"_a = 64, "batching"_a = true,
           "queue_capacity"_a = 1024, "inline_limit_us"_a = 20.0, "worker_nice"_a = 0)
      .def("available_backends", [](Engine& self) { return self.backends().available(); })
      .def(
          "backend_version",
          [](Engine& self, const std::string& name) {
            Result<Backend*> backend = self.backends().open(name);
            raise_unless_ok(backend.status());
            return backend.value()->version();
          },
          "name"_a);
}

}  // namespace slipstream::bindings
