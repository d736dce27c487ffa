#include "bindings/endpoint.h"

#include <algorithm>

#include "wire/encode.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// Below this the GIL's hand-over costs more than the writing it would let others run beside.
constexpr std::size_t kReleaseAboveBytes = 4 * 1024;

}  // namespace

Endpoint::Endpoint(std::shared_ptr<ModelObject> model, std::shared_ptr<const InputDecoder> decoder,
                   EndpointOutputs outputs)
    : model_(std::move(model)), decoder_(std::move(decoder)), outputs_(std::move(outputs)) {
  const std::size_t count = model_->served->spec().outputs.size();
  const auto is_there = [count](std::size_t output) { return output < count; };
  const bool fits = std::ranges::all_of(outputs_.probabilities, is_there) &&
                    std::ranges::all_of(outputs_.predictions, is_there,
                                        [](const auto& named) { return named.second; });
  if (!fits || outputs_.predictions.empty()) {
    throw py::value_error("an endpoint answers with outputs that the model has");
  }
}

void Endpoint::append_predictions(const Response& response, std::string& out) const {
  const auto& named = outputs_.predictions;
  if (named.front().first.empty()) {
    const Tensor& values = response.outputs[named.front().second];
    if (outputs_.labels != nullptr) {
      encode_labels(values, outputs_.labels->labels_json, out);
    } else {
      encode_tensor(values, out);
    }
    return;
  }
  char before = '{';
  for (const auto& [name, output] : named) {
    out.push_back(before);
    out.append(name).push_back(':');
    encode_tensor(response.outputs[output], out);
    before = ',';
  }
  out.push_back('}');
}

void Endpoint::append_probabilities(const Response& response, std::string& out) const {
  const auto& tables = outputs_.probabilities;
  if (tables.size() == 1) return encode_tensor(response.outputs[tables.front()], out);
  char before = '[';
  for (const std::size_t output : tables) {
    out.push_back(before);
    encode_tensor(response.outputs[output], out);
    before = ',';
  }
  out.push_back(']');
}

void Endpoint::append_arrays(const Response& response, bool probabilities, std::string& out) const {
  std::size_t bytes = 0;
  for (const Tensor& output : response.outputs) bytes += output.bytes();
  std::optional<py::gil_scoped_release> release;
  if (bytes > kReleaseAboveBytes) release.emplace();
  out.append("{\"predictions\":");
  append_predictions(response, out);
  if (!probabilities) return;
  out.append(",\"probabilities\":");
  append_probabilities(response, out);
}

}  // namespace slipstream::bindings
