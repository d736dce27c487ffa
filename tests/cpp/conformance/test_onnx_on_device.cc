// What only the onnx backend's path through a device does, with the host as the device. What it
// shares with every backend is checked by the conformance suite.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <vector>

#include "conformance/samples.h"
#include "core/backend.h"
#include "core/backend_loader.h"
#include "harness.h"

namespace slipstream {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = SLIPSTREAM_ONNX_MODELS;

Backend& onnx() {
  static BackendRegistry registry({SLIPSTREAM_ON_HOST_DIR});
  const Result<Backend*> backend = registry.open("onnx");
  REQUIRE(backend.is_ok());
  return *backend.value();
}

ModelConfig config_of(const std::string& model, std::map<std::string, std::string> options = {}) {
  options.emplace("library_path", (kModels / "libonnxruntime.so").string());
  options.emplace("providers", "cpu");
  options.emplace("device", "cuda:0");
  options.emplace("slots", "1");  // so that every batch comes to the same one
  return {.path = (kModels / (model + ".onnx")).string(), .options = std::move(options)};
}

// A model and one instance of it.
struct Loaded {
  explicit Loaded(const ModelConfig& config) {
    Result<std::unique_ptr<Model>> loaded = onnx().load(config);
    CHECK_EQ(loaded.status().message(), "");
    REQUIRE(loaded.is_ok());
    model = std::move(loaded).value();
    Result<std::unique_ptr<Instance>> made = model->create_instance();
    REQUIRE(made.is_ok());
    instance = std::move(made).value();
  }
  std::vector<Tensor> run(const std::vector<Tensor>& inputs) {
    std::vector<Tensor> outputs;
    const Status status = instance->execute({.inputs = inputs}, outputs);
    CHECK_EQ(status.message(), "");
    REQUIRE(status.is_ok());
    return outputs;
  }

  std::unique_ptr<Model> model;
  std::unique_ptr<Instance> instance;
};

Tensor flags(std::initializer_list<bool> values) {
  Tensor tensor = Tensor::allocate(DType::kBool, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.as<bool>().begin());
  return tensor;
}

// Two rows of 0 to 15, of which so many columns are wanted.
std::vector<Tensor> rows_of(std::int64_t longest) {
  Tensor x = Tensor::allocate(DType::kFloat32, {2, 8});
  float next = 0;
  for (float& value : x.as<float>()) value = next++;
  Tensor lengths = Tensor::allocate(DType::kInt64, {2, 1});
  lengths.as<std::int64_t>()[0] = 1;
  lengths.as<std::int64_t>()[1] = longest;
  return {x, lengths};
}

TEST(an_output_as_long_as_the_data_says_differs_from_run_to_run) {
  Loaded nonzero(config_of("nonzero"));
  const auto where = [&nonzero](std::initializer_list<bool> values) {
    const std::vector<Tensor> outputs = nonzero.run({flags(values)});
    const auto found = outputs.at(0).as<std::int64_t>();
    return std::vector<std::int64_t>(found.begin(), found.end());
  };
  CHECK((where({true, false, false, true}) == std::vector<std::int64_t>{0, 3}));
  CHECK((where({true, true, false, true}) == std::vector<std::int64_t>{0, 1, 3}));
  CHECK((where({false, false, true, false}) == std::vector<std::int64_t>{2}));
  CHECK(where({false, false, false, false}).empty());
  CHECK((where({true, true, true, true}) == std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(rows_as_long_as_a_batch_says_differ_from_run_to_run) {
  for (const char* const device : {"cuda:0", "cuda:1"}) {
    Loaded clipped(config_of("clipped", {{"device", device}}));
    REQUIRE(clipped.model->spec().batchable);
    for (const std::int64_t longest : {2, 5, 1, 8, 2}) {
      const std::vector<Tensor> outputs = clipped.run(rows_of(longest));
      REQUIRE((outputs.at(0).shape() == Shape{2, longest}));
      for (std::int64_t i = 0; i < 2 * longest; ++i) {
        const std::int64_t expected = i / longest * 8 + i % longest;
        CHECK_EQ(outputs[0].as<float>()[static_cast<std::size_t>(i)], static_cast<float>(expected));
      }
    }
  }
}

TEST(what_is_read_on_the_host_is_there_wherever_it_came_from) {
  constexpr std::int64_t kRows = 4096;
  for (const char* const device : {"cuda:0", "cuda:1"}) {
    Loaded mlp(config_of("mlp", {{"device", device}}));
    Tensor x = Tensor::allocate(DType::kFloat32, {kRows, 16});
    for (const float scale : {1.0F, -0.5F}) {
      float next = 0;
      for (float& value : x.as<float>()) value = scale * std::sin(next++);
      const std::vector<Tensor> expected = Loaded(config_of("mlp")).run({x});
      Tensor pinned = conformance::deep_copy(x);
      pinned.set_pinned();  // a device copies it from where it lies
      CHECK_EQ(conformance::difference(mlp.run({pinned}), expected, true), "");
    }
  }
}

TEST(a_provider_that_does_not_compute_on_the_device_is_refused) {
  const auto refusal = [](const char* device, const char* providers) {
    return onnx()
        .load(config_of("mlp", {{"device", device}, {"providers", providers}}))
        .status()
        .message();
  };
  CHECK(refusal("cuda:2", "cpu").find("'cpu' computes on the processor") != std::string::npos);
  CHECK(refusal("cuda:0,cuda:2", "cpu").find("'cpu' computes") != std::string::npos);
  CHECK_EQ(refusal("cuda:0", "cpu"), "");
}

TEST(what_a_model_is_its_own_session_tells) {
  const ModelConfig unoptimized = config_of("dropout", {{"graph_optimization_level", "disabled"}});
  CHECK(!onnx().load(unoptimized).is_ok());  // the CPU cannot run it as it is
  Loaded dropout(config_of("dropout"));
  const ModelSpec& spec = dropout.model->spec();
  CHECK(spec.batchable);
  CHECK_EQ(spec.max_rows, 0);
  REQUIRE(spec.inputs.size() == 1);
  CHECK(spec.inputs[0].dtype == DType::kBfloat16);
  const auto inputs = conformance::make_inputs(spec, 2, 1, 3);
  CHECK((dropout.run(inputs).at(0).shape() == Shape{2, 3}));
}

TEST(nothing_is_recorded) {
  const Status status = onnx().load(config_of("nonzero", {{"graph_rows", "8"}})).status();
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.message().find("'graph_rows'") != std::string::npos);
  CHECK(status.message().find("cannot be recorded") != std::string::npos);
  CHECK(onnx().load(config_of("nonzero", {{"graph_rows", "0"}})).is_ok());
}

}  // namespace
}  // namespace slipstream
