#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/endpoint.h"
#include "bindings/errors.h"
#include "bindings/predict_route.h"
#include "bindings/register.h"

namespace py = pybind11;
using namespace py::literals;

namespace slipstream::bindings {

namespace {

// For Python: bytes, an int for a request that waits, None for one declined; raises refusals.
py::object answer(PredictRoute& route, const py::bytes& body, const py::str& request_id,
                  const py::str& timestamp, py::object who) {
  Outcome outcome = route.answer(body, request_id, timestamp, std::move(who));
  switch (outcome.kind) {
    case Outcome::Kind::kAnswered:
      return std::move(outcome.body);
    case Outcome::Kind::kRefused:
      raise_status(outcome.status);
    case Outcome::Kind::kWaits:
      return py::int_(outcome.tag);
    case Outcome::Kind::kDeclined:
      break;
  }
  return py::none();
}

py::list drain(PredictRoute& route, const py::str& timestamp) {
  py::list ended;
  for (auto& [who, outcome] : route.drain(timestamp)) {
    const bool is_answered = outcome.kind == Outcome::Kind::kAnswered;
    ended.append(py::make_tuple(who, is_answered ? outcome.body : exception_of(outcome.status)));
  }
  return ended;
}

}  // namespace

void register_predict_route(py::module_& module) {
  py::class_<Endpoint, std::shared_ptr<Endpoint>>(module, "Endpoint")
      .def(py::init([](std::shared_ptr<ModelObject> model, std::shared_ptr<InputDecoder> decoder,
                       std::vector<std::pair<std::string, std::size_t>> predictions,
                       std::shared_ptr<LabelTable> labels, std::vector<std::size_t> probabilities,
                       std::uint64_t predictions_wanted, std::uint64_t everything_wanted) {
             return std::make_shared<Endpoint>(
                 std::move(model), std::move(decoder),
                 EndpointOutputs{.predictions = std::move(predictions),
                                 .labels = std::move(labels),
                                 .probabilities = std::move(probabilities),
                                 .predictions_wanted = predictions_wanted,
                                 .everything_wanted = everything_wanted});
           }),
           "model"_a, "decoder"_a, py::kw_only(), "predictions"_a, "labels"_a, "probabilities"_a,
           "predictions_wanted"_a, "everything_wanted"_a)
      .def("set_default_timeout_ms", &Endpoint::set_default_timeout_ms, "timeout_ms"_a);
  py::class_<PredictRoute, std::shared_ptr<PredictRoute>>(module, "PredictRoute")
      .def(py::init<py::dict, double, std::int64_t, bool>(), "endpoints"_a, py::kw_only(),
           "default_timeout_ms"_a, "max_batch_rows"_a, "is_batch"_a)
      .def("answer", &answer, "body"_a, "request_id"_a, "timestamp"_a, "who"_a)
      .def("drain", &drain, "timestamp"_a)
      .def("set_max_batch_rows", &PredictRoute::set_max_batch_rows, "rows"_a)
      .def("cancel", &PredictRoute::cancel, "tag"_a)
      .def("fileno", &PredictRoute::file_descriptor);
}

}  // namespace slipstream::bindings
