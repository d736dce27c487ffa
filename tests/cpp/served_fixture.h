// One controlled model with its own pool and timer: what most tests of ServedModel start from.
// Members are destroyed bottom up, so the model goes before what it uses.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "controlled_model.h"
#include "core/served_model.h"
#include "harness.h"
#include "recording_sink.h"

namespace slipstream::testing {

struct ServedFixture {
  RequestPool pool{256};
  DeadlineTimer timer{pool};
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  std::shared_ptr<Control> control = std::make_shared<Control>();
  std::shared_ptr<ServedModel> served;

  explicit ServedFixture(ServeOptions options = {}, bool batchable = true)
      : ServedFixture(std::move(options), [batchable](const std::shared_ptr<Control>& shared) {
          return std::make_unique<ControlledModel>(shared, batchable);
        }) {}

  // `make_model(control)` gives the model to serve.
  template <class MakeModel>
  ServedFixture(ServeOptions options, MakeModel make_model) {
    auto created = ServedModel::create(pool, timer, make_model(control), std::move(options));
    REQUIRE(created.is_ok());
    served = created.value();
  }
  ServedFixture(const ServedFixture&) = delete;
  ServedFixture& operator=(const ServedFixture&) = delete;
  ~ServedFixture() {
    control->open_gate();
    served->close(0);
  }

  Status submit(std::uint64_t tag, Tensor input, RequestOptions options = {},
                Ticket* ticket = nullptr) {
    std::vector<Tensor> inputs;
    inputs.push_back(std::move(input));
    return served->submit(std::move(inputs), options, sink, tag, ticket);
  }

  // Occupies one instance with request 1000, so that what follows queues up.
  void occupy() {
    control->close_gate();
    REQUIRE(submit(1000, counting_rows(0, 1)).is_ok());
    control->wait_at_gate(1);
  }
};

inline double first_value(const Response& response) {
  return response.outputs.at(0).as<double>()[0];
}

}  // namespace slipstream::testing
