#include "load/bodies.h"

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"
#include "wire/encode.h"

namespace slipstream::load {
namespace {

std::string document_of(const InputSchema& schema, const std::vector<Tensor>& inputs) {
  std::string json;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    json.push_back(i == 0 ? '{' : ',');
    encode_string(schema.inputs[i].name, json);
    json.push_back(':');
    encode_tensor(inputs[i], json);
  }
  json.push_back('}');
  return json;
}

}  // namespace

Bodies make_bodies(std::size_t count) {
  const std::unique_ptr<Model> model = conformance::load_model();
  const std::unique_ptr<Instance> instance = conformance::create_instance(*model);
  Bodies bodies;
  bodies.schema.layout = Layout::kTensors;
  bodies.schema.inputs = model->spec().inputs;
  for (std::size_t seed = 0; seed < count; ++seed) {
    const auto inputs =
        conformance::make_inputs(model->spec(), 1 + static_cast<std::int64_t>(seed % 5), seed,
                                 conformance::target().dynamic_dim);
    std::vector<Tensor> outputs;
    REQUIRE(instance->execute({.inputs = inputs}, outputs).is_ok());
    bodies.all.push_back({document_of(bodies.schema, inputs), conformance::deep_copy(outputs)});
    if (seed % 7 == 6) {
      std::string broken = bodies.all.back().json;
      broken.resize(broken.size() - 1 - seed % 3);
      bodies.all.push_back({std::move(broken), {}});
    }
  }
  return bodies;
}

}  // namespace slipstream::load
