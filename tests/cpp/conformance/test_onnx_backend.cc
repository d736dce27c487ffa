// What only the onnx backend does: which libraries, models and options it refuses, and how. What it
// shares with every backend is checked by the conformance suite.
#include <filesystem>
#include <fstream>

#include "conformance/samples.h"
#include "core/backend.h"
#include "core/backend_loader.h"
#include "harness.h"

namespace slipstream {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = SLIPSTREAM_ONNX_MODELS;
const fs::path kFakes = SLIPSTREAM_FAKE_RUNTIMES;

Backend& onnx() {
  static BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> backend = registry.open("onnx");
  REQUIRE(backend.is_ok());
  return *backend.value();
}

ModelConfig config_of(const std::string& model, std::map<std::string, std::string> options = {}) {
  options.emplace("library_path", (kModels / "libonnxruntime.so").string());
  return {.path = (kModels / (model + ".onnx")).string(), .options = std::move(options)};
}

Status refusal(const ModelConfig& config) {
  const Status status = onnx().load(config).status();
  std::cerr << "     " << status_code_name(status.code()) << ": " << status.message() << '\n';
  return status;
}

std::unique_ptr<Model> load(const ModelConfig& config) {
  Result<std::unique_ptr<Model>> model = onnx().load(config);
  CHECK_EQ(model.status().message(), "");
  REQUIRE(model.is_ok());
  return std::move(model).value();
}

std::unique_ptr<Instance> instance_of(Model& model) {
  Result<std::unique_ptr<Instance>> instance = model.create_instance();
  REQUIRE(instance.is_ok());
  return std::move(instance).value();
}

bool mentions(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

bool is(const Status& status, StatusCode code, std::string_view text) {
  return status.code() == code && mentions(status, text);
}

// First, while no library is in use: from then on every other one is refused unseen.
TEST(libraries_that_are_no_onnx_runtime_are_refused) {
  CHECK_EQ(onnx().version(), "");
  const auto with_library = [](const fs::path& library) {
    return refusal(config_of("mlp", {{"library_path", library.string()}}));
  };
  constexpr auto kPrecondition = StatusCode::kFailedPrecondition;
  CHECK(is(with_library("/no/such/libonnxruntime.so"), StatusCode::kNotFound, "install"));
  CHECK(is(with_library(kModels / "mlp.onnx"), kPrecondition, "does not open"));
  CHECK(is(with_library(kFakes / "libfake_runtime_none.so"), kPrecondition, "OrtGetApiBase"));
  CHECK(is(with_library(kFakes / "libfake_runtime_old.so"), kPrecondition, "1.10.0"));
  CHECK(is(with_library(kFakes / "libfake_runtime_truncated.so"), kPrecondition, "self-test"));
  CHECK(is(with_library(kFakes / "libfake_runtime_foreign.so"), kPrecondition, "self-test"));
  CHECK(is(with_library(kFakes / "libfake_runtime_deaf.so"), kPrecondition, "self-test"));
  CHECK_EQ(onnx().version(), "");
}

TEST(the_library_that_works_is_the_only_one_from_then_on) {
  (void)load(config_of("mlp"));
  CHECK(onnx().version().starts_with("onnxruntime 1."));
  const std::string other = (kFakes / "libfake_runtime_old.so").string();
  CHECK(is(refusal(config_of("mlp", {{"library_path", other}})), StatusCode::kFailedPrecondition,
           "already runs"));
  const std::string same = fs::canonical(kModels / "libonnxruntime.so").string();
  (void)load(config_of("mlp", {{"library_path", same}}));
}

TEST(library_path_is_required) {
  ModelConfig config = config_of("mlp");
  config.options.clear();
  CHECK(is(refusal(config), StatusCode::kInvalidArgument, "library_path"));
}

TEST(bad_options_are_refused_by_name) {
  const std::pair<const char*, const char*> bad[] = {{"intra_op_threads", "0"},
                                                     {"intra_op_threads", "two"},
                                                     {"inter_op_threads", "-1"},
                                                     {"execution_mode", "both"},
                                                     {"graph_optimization_level", "max"},
                                                     {"batchable", "maybe"},
                                                     {"allow_spinning", "1"},
                                                     {"providers", "abacus"},
                                                     {"providers", ""}};
  for (const auto& [key, text] : bad) {
    CHECK(is(refusal(config_of("mlp", {{key, text}})), StatusCode::kInvalidArgument, key));
  }
}

TEST(a_provider_that_cannot_run_says_what_is_missing) {
  for (const char* name : {"cuda", "tensorrt", "cuda,cpu"}) {
    CHECK(is(refusal(config_of("mlp", {{"providers", name}})), StatusCode::kFailedPrecondition,
             "onnxruntime-gpu"));
  }
}

TEST(models_beyond_tensors_are_refused_with_a_remedy) {
  CHECK(is(refusal(config_of("sequence")), StatusCode::kInvalidArgument, "zipmap=False"));
  CHECK(is(refusal(config_of("zipmap")), StatusCode::kInvalidArgument, "zipmap=False"));
  CHECK(is(refusal(config_of("float8")), StatusCode::kInvalidArgument, "'y'"));
}

TEST(models_this_library_cannot_run_are_refused_in_its_words) {
  CHECK(is(refusal(config_of("future_opset")), StatusCode::kInvalidArgument, "9999"));
  const fs::path half = kModels / "half.onnx";
  fs::copy_file(kModels / "mlp.onnx", half, fs::copy_options::overwrite_existing);
  fs::resize_file(half, fs::file_size(half) / 2);
  CHECK(is(refusal(config_of("half")), StatusCode::kInvalidArgument, "half.onnx"));
  ModelConfig folder = config_of("mlp");
  folder.path = kModels.string();
  CHECK(is(refusal(folder), StatusCode::kNotFound, kModels.string()));
}

TEST(batching_is_decided_by_the_names_of_first_dimensions) {
  CHECK(load(config_of("mlp"))->spec().batchable);
  CHECK(load(config_of("unnamed"))->spec().batchable);
  CHECK(!load(config_of("mixed_axes"))->spec().batchable);
  CHECK(!load(config_of("shrinks"))->spec().batchable);
  CHECK(!load(config_of("fixed"))->spec().batchable);
  CHECK(load(config_of("mixed_axes", {{"batchable", "true"}}))->spec().batchable);
  CHECK(!load(config_of("mlp", {{"batchable", "false"}}))->spec().batchable);
  CHECK(is(refusal(config_of("fixed", {{"batchable", "true"}})), StatusCode::kInvalidArgument,
           "'x'"));
}

TEST(a_batch_that_comes_back_with_other_rows_is_an_error_not_an_answer) {
  const auto model = load(config_of("shrinks", {{"batchable", "true"}}));
  const auto instance = instance_of(*model);
  const auto inputs = conformance::make_inputs(model->spec(), 4, 1, 3);
  std::vector<Tensor> outputs;
  CHECK(is(instance->execute({.inputs = inputs}, outputs), StatusCode::kInternal, "batchable"));
}

TEST(a_failing_operator_is_reported_and_the_instance_goes_on) {
  const auto model = load(config_of("lookup"));
  const auto instance = instance_of(*model);
  Tensor index = Tensor::allocate(DType::kInt64, {2});
  index.as<std::int64_t>()[0] = 3;
  index.as<std::int64_t>()[1] = 99;
  std::vector<Tensor> outputs;
  const Status status = instance->execute({.inputs = {&index, 1}}, outputs);
  std::cerr << "     " << status_code_name(status.code()) << ": " << status.message() << '\n';
  CHECK(!status.is_ok() && mentions(status, "99"));
  index.as<std::int64_t>()[1] = 9;
  REQUIRE(instance->execute({.inputs = {&index, 1}}, outputs).is_ok());
  CHECK_EQ(outputs[0].as<float>()[0], 3.0F);
  CHECK_EQ(outputs[0].as<float>()[1], 9.0F);
}

TEST(bfloat16_keeps_its_bits) {
  const auto model = load(config_of("bfloat16"));
  const auto instance = instance_of(*model);
  Tensor input = Tensor::allocate(DType::kBfloat16, {1, 3});
  input.as<std::uint16_t>()[0] = 0x3f80;  // 1
  input.as<std::uint16_t>()[1] = 0xc049;  // -3.140625
  input.as<std::uint16_t>()[2] = 0x7f80;  // infinity
  std::vector<Tensor> outputs;
  REQUIRE(instance->execute({.inputs = {&input, 1}}, outputs).is_ok());
  CHECK_EQ(conformance::difference(outputs[0], input, true), "");
  CHECK_EQ(outputs[1].as<float>()[0], 1.0F);
  CHECK_EQ(outputs[1].as<float>()[1], -3.140625F);
}

#ifndef __SANITIZE_THREAD__  // TSan cannot see how ONNX Runtime's own threads synchronise
TEST(threads_that_spin_give_the_same_answers) {
  const auto plain = load(config_of("mlp"));
  const auto spinning = load(config_of("mlp", {{"allow_spinning", "true"},
                                               {"intra_op_threads", "2"},
                                               {"inter_op_threads", "2"},
                                               {"execution_mode", "parallel"}}));
  const auto inputs = conformance::make_inputs(plain->spec(), 8, 1, 3);
  std::vector<Tensor> expected, outputs;
  REQUIRE(instance_of(*plain)->execute({.inputs = inputs}, expected).is_ok());
  REQUIRE(instance_of(*spinning)->execute({.inputs = inputs}, outputs).is_ok());
  CHECK_EQ(conformance::difference(outputs, expected, false), "");
}
#endif

TEST(initializers_listed_as_inputs_are_not_asked_for) {
  const auto model = load(config_of("overridable"));
  REQUIRE(model->spec().inputs.size() == 1);
  CHECK_EQ(model->spec().inputs[0].name, "x");
}

}  // namespace
}  // namespace slipstream
