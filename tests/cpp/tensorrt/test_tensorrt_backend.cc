// The whole tensorrt backend on the fake runtime and the fake driver: what it refuses and how, what
// it computes, and what it leaves behind. What it shares with every backend is checked by the
// conformance suite.
#include <NvInferVersion.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <thread>

#include "core/backend.h"
#include "core/backend_loader.h"
#include "cuda/fake_cuda.h"
#include "fake_nvinfer.h"
#include "harness.h"
#include "plan_writer.h"

namespace slipstream::tensorrt {
namespace {

namespace fs = std::filesystem;

constexpr Version kVersion{
    .major = NV_TENSORRT_MAJOR, .minor = NV_TENSORRT_MINOR, .patch = NV_TENSORRT_PATCH};
constexpr const char* kRows = "input x 0 -1,4 1,4 8,4\noutput y 0 -1,4 x\nend\n";

Backend& tensorrt() {
  static const bool is_set = [] {
    fake_cuda_machine(2, 13000);  // before the driver is opened
    return true;
  }();
  REQUIRE(is_set);
  static BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> backend = registry.open("tensorrt");
  if (!backend.is_ok()) std::cerr << backend.status().message() << '\n';
  REQUIRE(backend.is_ok());
  return *backend.value();
}

std::string plan_of(const std::string& text, const Version& version = kVersion) {
  static int number = 0;
  return write_plan(fs::path(FAKE_FOLDER) / ("test" + std::to_string(++number) + ".plan"), version,
                    text);
}

Result<std::unique_ptr<Model>> load(const std::string& plan,
                                    std::map<std::string, std::string> options = {}) {
  options.emplace("library_path", FAKE_NVINFER);
  return tensorrt().load({.path = plan, .options = std::move(options)});
}

bool says(const Status& status, StatusCode code, std::initializer_list<std::string_view> words) {
  bool has_all = true;
  for (const auto word : words) has_all &= status.message().find(word) != std::string::npos;
  std::cerr << "     " << status_code_name(status.code()) << ": " << status.message() << '\n';
  return status.code() == code && has_all;
}

std::unique_ptr<Model> must_load(const std::string& text,
                                 std::map<std::string, std::string> options = {}) {
  Result<std::unique_ptr<Model>> model = load(plan_of(text), std::move(options));
  CHECK_EQ(model.status().message(), "");
  REQUIRE(model.is_ok());
  return std::move(model).value();
}

std::unique_ptr<Instance> must_create(Model& model) {
  Result<std::unique_ptr<Instance>> instance = model.create_instance();
  CHECK_EQ(instance.status().message(), "");
  REQUIRE(instance.is_ok());
  return std::move(instance).value();
}

Tensor rows_of(std::int64_t rows, float first) {
  Tensor tensor = Tensor::allocate(DType::kFloat32, {rows, 4});
  for (float& value : tensor.as<float>()) value = first++;
  return tensor;
}

Status run(Instance& instance, const Tensor& input, std::vector<Tensor>& outputs) {
  return instance.execute({.inputs = {&input, 1}}, outputs);
}

bool is_double(const Tensor& output, const Tensor& input) {
  if (!(output.shape() == input.shape())) return false;
  for (std::size_t i = 0; i < input.as<float>().size(); ++i) {
    if (output.as<float>()[i] != 2 * input.as<float>()[i]) return false;
  }
  return true;
}

// First, while no library is in use: from then on every other one is refused unseen.
TEST(libraries_that_are_no_runtime_of_that_version_are_refused) {
  CHECK_EQ(tensorrt().version(), "");
  const std::string plan = plan_of(kRows);
  const auto with = [&](const fs::path& library) {
    return load(plan, {{"library_path", library.string()}}).status();
  };
  const fs::path folder = FAKE_FOLDER;
  constexpr auto kPrecondition = StatusCode::kFailedPrecondition;
  CHECK(says(with("/no/such/libnvinfer.so"), StatusCode::kNotFound, {"install tensorrt-cu13"}));
  CHECK(says(with(plan), kPrecondition, {"does not open"}));
  CHECK(says(with(folder / "libnot_nvinfer.so"), kPrecondition, {"createInferRuntime_INTERNAL"}));
  CHECK(says(with(folder / "libnot_nvinfer_other.so"), kPrecondition,
             {"TensorRT 8.6.3", "build-backend tensorrt"}));
}

TEST(a_plan_computes) {
  const auto model = must_load(kRows);
  CHECK(tensorrt().version().starts_with("tensorrt " + std::to_string(kVersion.major) + "."));
  CHECK(model->spec().batchable);
  CHECK_EQ(model->spec().max_rows, 8);
  const auto instance = must_create(*model);
  for (const std::int64_t rows : {1, 8, 3}) {
    const Tensor input = rows_of(rows, 5);
    std::vector<Tensor> outputs;
    CHECK_EQ(run(*instance, input, outputs).message(), "");
    REQUIRE(outputs.size() == 1);
    CHECK(is_double(outputs[0], input));
  }
}

TEST(executions_of_one_context_are_in_progress_side_by_side) {
  const auto model = must_load(kRows, {{"slots", "3"}});
  const auto instance = must_create(*model);
  PipelinedInstance* const pipelined = instance->pipelined();
  REQUIRE(pipelined != nullptr && pipelined->depth() == 3);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 300; ++i) inputs.push_back(rows_of(1 + i % 8, static_cast<float>(i)));
  std::size_t begun = 0;
  for (std::size_t ended = 0; ended < inputs.size();) {
    for (; begun < inputs.size() && begun - ended < 3; ++begun) {
      const Piece piece{.inputs = {&inputs[begun], 1}, .end_row = inputs[begun].rows()};
      pipelined->begin({.pieces = {&piece, 1}, .rows = inputs[begun].rows()});
    }
    Status status;
    std::vector<Tensor> outputs;
    if (!pipelined->poll(status, outputs)) {
      std::this_thread::yield();
      continue;
    }
    CHECK_EQ(status.message(), "");
    REQUIRE(outputs.size() == 1);
    CHECK(is_double(outputs[0], inputs[ended]));
    ++ended;
  }
}

TEST(instances_share_one_engine_and_leave_nothing_behind) {
  const int engines_before = fake_nvinfer_engines();
  {
    const auto model = must_load(kRows);
    const auto first = must_create(*model);
    const auto second = must_create(*model);
    const Tensor input = rows_of(2, 1);
    std::vector<Tensor> outputs;
    CHECK_EQ(run(*second, input, outputs).message(), "");
    CHECK_EQ(fake_nvinfer_engines(), engines_before + 1);
    CHECK_EQ(fake_nvinfer_objects(), 4);  // runtime, engine, two contexts
  }
  CHECK_EQ(fake_nvinfer_objects(), 0);
  CHECK_EQ(fake_nvinfer_misuses(), 0);
}

TEST(rows_and_sizes_out_of_the_profile_are_refused_and_the_instance_goes_on) {
  const auto model = must_load(kRows);
  const auto instance = must_create(*model);
  std::vector<Tensor> outputs;
  CHECK(says(run(*instance, rows_of(9, 1), outputs), StatusCode::kInvalidArgument,
             {"'x'", "[9, 4]", "[1 to 8, 4]"}));
  const Tensor input = rows_of(8, 1);
  CHECK_EQ(run(*instance, input, outputs).message(), "");
  CHECK(is_double(outputs[0], input));
}

TEST(an_execution_that_tensorrt_refuses_fails_in_its_words) {
  const auto model = must_load(kRows);
  const auto instance = must_create(*model);
  const Tensor input = rows_of(2, 1);
  std::vector<Tensor> outputs;
  fake_nvinfer_refuse_execution(0);
  CHECK(says(run(*instance, input, outputs), StatusCode::kInternal, {"a tactic failed"}));
  CHECK_EQ(run(*instance, input, outputs).message(), "");
  CHECK(is_double(outputs[0], input));
}

TEST(a_runtime_that_does_not_start_is_told_in_its_words) {
  fake_nvinfer_refuse_start(true);
  CHECK(says(load(plan_of(kRows)).status(), StatusCode::kUnavailable,
             {"does not start", "driver", "initialization failed"}));
  fake_nvinfer_refuse_start(false);
  CHECK(load(plan_of(kRows)).is_ok());
}

TEST(want_of_memory_for_a_context_is_told_with_its_size) {
  const auto model = must_load(kRows);
  fake_nvinfer_refuse_context(0);
  CHECK(says(model->create_instance().status(), StatusCode::kResourceExhausted,
             {"3 MiB", "fewer instances", "createExecutionContext: out of memory"}));
  CHECK(model->create_instance().is_ok());
  fake_cuda_limits(std::size_t{2} << 20U, std::size_t{1} << 30U);
  CHECK(says(model->create_instance().status(), StatusCode::kResourceExhausted,
             {"3 MiB", "fewer instances"}));
  fake_cuda_limits(std::size_t{1} << 30U, std::size_t{1} << 30U);
  CHECK(model->create_instance().is_ok());
}

TEST(an_engine_of_which_no_instance_can_be_made_is_given_up_unless_others_have_it) {
  const auto model = must_load(kRows);
  const int engines_before = fake_nvinfer_engines();
  fake_nvinfer_refuse_context(0);
  CHECK(!model->create_instance().is_ok());
  CHECK_EQ(fake_nvinfer_objects(), 0);
  const auto instance = must_create(*model);
  CHECK_EQ(fake_nvinfer_engines(), engines_before + 1);
  fake_nvinfer_refuse_context(0);
  CHECK(!model->create_instance().is_ok());
  const auto second = must_create(*model);
  CHECK_EQ(fake_nvinfer_engines(), engines_before + 1);
}

TEST(plans_that_do_not_load_are_refused_with_the_reason) {
  const auto refusal = [](const std::string& text, const Version& version = kVersion) {
    return load(plan_of(text, version)).status();
  };
  const std::string rows = kRows;
  constexpr auto kPrecondition = StatusCode::kFailedPrecondition;
  CHECK(says(refusal("needs other-gpu\n" + rows), kPrecondition,
             {"test", ".plan", "another GPU", "incompatible device"}));
  CHECK(says(refusal(rows, {.major = kVersion.major, .minor = 99, .patch = 0}), kPrecondition,
             {".99.0", "version_compatible", "does not match"}));
  CHECK(says(refusal(rows.substr(0, rows.size() - 4)), StatusCode::kInvalidArgument,
             {"damaged", "ends too soon"}));
  CHECK(says(refusal("needs host-code\n" + rows), kPrecondition, {"ALLOW_CUSTOM_CODE"}));
  CHECK(must_load("needs host-code\n" + rows, {{"host_code", "true"}})->spec().batchable);
  CHECK(says(load("/no/such.plan").status(), StatusCode::kNotFound, {"/no/such.plan"}));
}

TEST(tensors_that_cannot_be_served_are_refused_by_name) {
  const auto refusal = [](const std::string& lines) {
    return load(plan_of("input x 0 -1,4 1,4 8,4\n" + lines + "end\n")).status();
  };
  constexpr auto kInvalid = StatusCode::kInvalidArgument;
  CHECK(says(refusal("input n 3 2 host\noutput y 0 -1,4 x\n"), kInvalid, {"'n'", "shape tensor"}));
  CHECK(says(refusal("output y 6 -1,4 x\n"), kInvalid, {"'y'", "FP8"}));
  CHECK(says(refusal("output y 0 -1,4 x packed\n"), kInvalid, {"'y'", "linear"}));
  CHECK(says(refusal("output y 0 -1,4 x sparse\n"), kInvalid, {"'y'", "depends on what"}));
}

TEST(the_profile_that_was_asked_for_is_used) {
  const std::string text = "input x 0 -1,4 1,4 2,4 3,4 6,4\noutput y 0 -1,4 x\nend\n";
  CHECK(says(load(plan_of(text), {{"profile", "2"}}).status(), StatusCode::kInvalidArgument,
             {"'profile'", "2 optimization profiles"}));
  const auto model = must_load(text, {{"profile", "1"}});
  CHECK_EQ(model->spec().max_rows, 6);
  const auto instance = must_create(*model);
  std::vector<Tensor> outputs;
  const Tensor input = rows_of(6, 1);
  CHECK_EQ(run(*instance, input, outputs).message(), "");
  CHECK(is_double(outputs[0], input));
  CHECK(says(run(*instance, rows_of(7, 1), outputs), StatusCode::kInvalidArgument,
             {"[3 to 6, 4]", "profile 1"}));
}

TEST(fewer_rows_than_the_profile_takes_are_padded_where_rows_are_batched) {
  const std::string text = "input x 0 -1,4 3,4 6,4\noutput y 0 -1,4 x\nend\n";
  for (const char* const graph_rows : {"0", "8"}) {
    const auto model = must_load(text, {{"graph_rows", graph_rows}});
    const auto instance = must_create(*model);
    for (const std::int64_t rows : {1, 2, 3, 6, 1}) {
      const Tensor input = rows_of(rows, 3);
      std::vector<Tensor> outputs;
      CHECK_EQ(run(*instance, input, outputs).message(), "");
      REQUIRE(outputs.size() == 1);
      CHECK(is_double(outputs[0], input));
    }
  }
  const auto alone = must_load(text, {{"batchable", "false"}});
  std::vector<Tensor> outputs;
  CHECK(says(run(*must_create(*alone), rows_of(2, 1), outputs), StatusCode::kInvalidArgument,
             {"[3 to 6, 4]"}));
}

TEST(executions_are_recorded_as_graphs_and_launched_by_them) {
  const auto model = must_load(kRows, {{"graph_rows", "64"}, {"slots", "1"}});
  const auto instance = must_create(*model);
  std::vector<Tensor> outputs;
  for (int round = 0; round < 3; ++round) {
    for (const std::int64_t rows : {1, 5, 8}) {
      const Tensor input = rows_of(rows, static_cast<float>(round));
      CHECK_EQ(run(*instance, input, outputs).message(), "");
      REQUIRE(outputs.size() == 1);
      CHECK(is_double(outputs[0], input));
    }
  }
  // Each was put on the stream to compute and again to be recorded; the rest were launches.
  const int executions = fake_nvinfer_executions();
  const Tensor input = rows_of(5, 7);
  CHECK_EQ(run(*instance, input, outputs).message(), "");
  CHECK(is_double(outputs[0], input));
  CHECK_EQ(fake_nvinfer_executions(), executions);
}

TEST(what_cannot_be_recorded_is_computed_and_recorded_later) {
  const auto model = must_load(kRows, {{"graph_rows", "64"}, {"slots", "1"}});
  const auto instance = must_create(*model);
  const Tensor input = rows_of(2, 1);
  std::vector<Tensor> outputs;
  const auto executions_of_one_batch = [&] {
    const int before = fake_nvinfer_executions();
    CHECK_EQ(run(*instance, input, outputs).message(), "");
    CHECK(is_double(outputs[0], input));
    return fake_nvinfer_executions() - before;
  };
  fake_nvinfer_refuse_context(0);  // that for what comes after the graph
  CHECK_EQ(executions_of_one_batch(), 1);
  fake_nvinfer_refuse_execution(1);  // that which is recorded
  CHECK_EQ(executions_of_one_batch(), 2);
  CHECK_EQ(executions_of_one_batch(), 2);
  CHECK_EQ(executions_of_one_batch(), 0);
}

TEST(graphs_leave_with_the_contexts_that_they_were_recorded_of) {
  {
    const auto model = must_load(kRows, {{"graph_rows", "64"}, {"slots", "1"}});
    const auto instance = must_create(*model);
    std::vector<Tensor> outputs;
    for (const std::int64_t rows : {8, 5}) {
      CHECK_EQ(run(*instance, rows_of(rows, 1), outputs).message(), "");
    }
    CHECK_EQ(fake_nvinfer_objects(), 5);  // runtime, engine, a context each, and one for others
  }
  CHECK_EQ(fake_nvinfer_objects(), 0);
  CHECK_EQ(fake_nvinfer_misuses(), 0);
}

TEST(instances_are_spread_over_the_devices_each_with_an_engine) {
  const int engines_before = fake_nvinfer_engines();
  const auto model = must_load(kRows, {{"device", "cuda:0,cuda:1"}});
  CHECK_EQ(fake_nvinfer_engines(), engines_before + 2);
  const auto first = must_create(*model);
  const auto second = must_create(*model);
  CHECK_EQ(fake_nvinfer_engines(), engines_before + 2);
  for (Instance* const instance : {first.get(), second.get()}) {
    const Tensor input = rows_of(3, 1);
    std::vector<Tensor> outputs;
    CHECK_EQ(run(*instance, input, outputs).message(), "");
    CHECK(is_double(outputs[0], input));
  }
}

TEST(a_device_that_is_not_there_is_refused) {
  CHECK(says(load(plan_of(kRows), {{"device", "cuda:7"}}).status(), StatusCode::kNotFound,
             {"tensorrt backend: ", "cuda:7 is not there"}));
}

// Last: what is lost here is the context that all models of the process are in. TensorRT holds it
// as well (context.cc, recover()), so it cannot be made anew: health says so, and whoever watches
// that restarts the process.
TEST(a_lost_device_fails_what_comes_until_the_process_is_started_again) {
  const auto model = must_load(kRows, {{"graph_rows", "64"}});
  const auto instance = must_create(*model);
  const Tensor input = rows_of(2, 1);
  std::vector<Tensor> outputs;
  CHECK_EQ(run(*instance, input, outputs).message(), "");
  const int engines_before = fake_nvinfer_engines();
  fake_cuda_break(0, CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(says(run(*instance, input, outputs), StatusCode::kUnavailable,
             {"CUDA_ERROR_ILLEGAL_ADDRESS", "restart the process"}));
  CHECK(says(run(*instance, input, outputs), StatusCode::kUnavailable,
             {"other libraries hold its context", "restart the process"}));
  CHECK_EQ(instance->restarts(), 0U);
  CHECK_EQ(fake_nvinfer_engines(), engines_before);
  CHECK_EQ(fake_nvinfer_objects(), 0);  // nothing of the model is on that device any more
  CHECK_EQ(fake_nvinfer_misuses(), 0);
}

}  // namespace
}  // namespace slipstream::tensorrt
