// Endpoint: one loaded version of a model as JSON asks for it: how its rows are read, which outputs
// answer, and how they are written. Made with the version; only the deadline of requests that name
// none may change, while it serves.
//
// Threads: any, with the GIL, which is released around long reading and writing.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/input_decoder.h"
#include "bindings/model.h"
#include "bindings/result.h"
#include "core/completion.h"

namespace slipstream::bindings {

// Which outputs make up `predictions` and `probabilities`.
struct EndpointOutputs {
  // One with an empty name is the answer itself; named ones become an object. Names are JSON.
  std::vector<std::pair<std::string, std::size_t>> predictions;
  std::shared_ptr<const LabelTable> labels;  // of a prediction that is an index of a class; or null
  std::vector<std::size_t> probabilities;    // empty: the model has none
  std::uint64_t predictions_wanted = 0;      // bit masks of outputs to compute, without
  std::uint64_t everything_wanted = 0;       // and with probabilities
};

class Endpoint {
 public:
  Endpoint(std::shared_ptr<ModelObject> model, std::shared_ptr<const InputDecoder> decoder,
           EndpointOutputs outputs);

  [[nodiscard]] Servable& served() const noexcept { return *model_->served; }
  // What answers call the model, whichever of its names a request has used.
  [[nodiscard]] const std::string& model_id() const noexcept { return model_->served->name(); }
  // Of requests that name none; 0: as the route has it.
  [[nodiscard]] double default_timeout_ms() const noexcept { return default_timeout_ms_; }
  void set_default_timeout_ms(double timeout_ms) noexcept { default_timeout_ms_ = timeout_ms; }
  [[nodiscard]] Result<std::vector<Tensor>> decode(std::string_view data) const {
    return decoder_->decode(data);
  }
  [[nodiscard]] bool has_probabilities() const noexcept { return !outputs_.probabilities.empty(); }
  [[nodiscard]] std::uint64_t outputs_wanted(bool probabilities) const noexcept {
    return probabilities ? outputs_.everything_wanted : outputs_.predictions_wanted;
  }

  // Appends `{"predictions":...` and, if asked for, `,"probabilities":...` of a response that is
  // ok.
  void append_arrays(const Response& response, bool probabilities, std::string& out) const;

 private:
  void append_predictions(const Response& response, std::string& out) const;
  void append_probabilities(const Response& response, std::string& out) const;

  std::shared_ptr<ModelObject> model_;
  std::shared_ptr<const InputDecoder> decoder_;
  EndpointOutputs outputs_;
  double default_timeout_ms_ = 0;
};

}  // namespace slipstream::bindings
