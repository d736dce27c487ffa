#include <pybind11/stl.h>

#include <utility>

#include "bindings/compose.h"
#include "bindings/errors.h"
#include "bindings/inputs.h"
#include "bindings/register.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {
namespace {

std::vector<TensorSpec> specs_of(const py::sequence& triples) {
  std::vector<TensorSpec> specs;
  for (const py::handle triple : triples) specs.push_back(tensor_spec_of(triple));
  return specs;
}

EnsembleMember member_of(std::shared_ptr<ModelObject> model, std::size_t output, std::size_t width,
                         std::size_t skip, std::vector<std::int64_t> whole_labels,
                         std::vector<std::string> text_labels, bool is_owned) {
  if (skip >= width) throw py::value_error("a member must contribute at least one column");
  ColumnReader reader{.member = model->served->name(),
                      .output = output,
                      .width = width,
                      .skip = skip,
                      .whole_labels = std::move(whole_labels),
                      .text_labels = std::move(text_labels)};
  return {.model = std::move(model), .reader = std::move(reader), .is_owned = is_owned};
}

std::shared_ptr<ModelObject> ensemble(const std::shared_ptr<Engine>& engine,
                                      const std::string& name,
                                      const std::vector<EnsembleMember>& members,
                                      const std::string& rule, const py::sequence& inputs,
                                      const py::sequence& outputs, std::vector<double> weights,
                                      std::optional<EnsembleMember> final_member,
                                      bool is_passthrough) {
  Result<std::unique_ptr<Composite>> composite =
      compose(name, {.inputs = specs_of(inputs), .outputs = specs_of(outputs)}, members,
              {.name = rule,
               .weights = std::move(weights),
               .final_member = std::move(final_member),
               .is_passthrough = is_passthrough});
  raise_unless_ok(composite.status());
  return share_model(engine, std::move(composite).value());
}

}  // namespace

void register_compose(py::module_& module) {
  py::class_<EnsembleMember>(module, "EnsembleMember")
      .def(py::init(&member_of), "model"_a, py::kw_only(), "output"_a, "width"_a = 1, "skip"_a = 0,
           "whole_labels"_a = std::vector<std::int64_t>{},
           "text_labels"_a = std::vector<std::string>{}, "is_owned"_a = false);
  module.def("ensemble", &ensemble, "engine"_a, py::kw_only(), "name"_a, "members"_a, "rule"_a,
             "inputs"_a, "outputs"_a, "weights"_a = std::vector<double>{},
             "final_member"_a = py::none(), "is_passthrough"_a = false);
}

}  // namespace slipstream::bindings
