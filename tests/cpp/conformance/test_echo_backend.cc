// The echo backend's misbehaviour, which the core's tests rely on. Its good behaviour is checked by
// the conformance suite.
#include <chrono>

#include "core/backend.h"
#include "core/backend_loader.h"
#include "harness.h"

namespace slipstream {
namespace {

using Options = std::map<std::string, std::string>;

Backend& echo() {
  static BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> backend = registry.open("echo");
  REQUIRE(backend.is_ok());
  return *backend.value();
}

std::unique_ptr<Model> load(const Options& options) {
  Result<std::unique_ptr<Model>> model = echo().load({.path = "", .options = options});
  CHECK_EQ(model.status().message(), "");
  REQUIRE(model.is_ok());
  return std::move(model).value();
}

std::unique_ptr<Instance> instance_of(Model& model) {
  Result<std::unique_ptr<Instance>> instance = model.create_instance();
  REQUIRE(instance.is_ok());
  return std::move(instance).value();
}

Status refusal(const Options& options) {
  return echo().load({.path = "", .options = options}).status();
}

Tensor floats(std::initializer_list<float> values) {
  Tensor tensor = Tensor::allocate(DType::kFloat32, {static_cast<std::int64_t>(values.size()), 1});
  std::ranges::copy(values, tensor.as<float>().begin());
  return tensor;
}

Status execute(Instance& instance, const Tensor& input) {
  std::vector<Tensor> outputs;
  return instance.execute({.inputs = {&input, 1}}, outputs);
}

TEST(every_nth_execute_fails_counted_over_all_instances) {
  const auto model = load({{"width", "1"}, {"fail_every", "3"}});
  const auto first = instance_of(*model);
  const auto second = instance_of(*model);
  const Tensor input = floats({1});
  for (int round = 0; round < 3; ++round) {
    CHECK(execute(*first, input).is_ok());
    CHECK(execute(*second, input).is_ok());
    CHECK(execute(*first, input).code() == StatusCode::kInternal);
  }
}

TEST(a_poisoned_row_fails_the_whole_execute_and_only_that) {
  const auto model = load({{"width", "1"}, {"fail_value", "13"}});
  const auto instance = instance_of(*model);
  const Status status = execute(*instance, floats({1, 2, 13, 4}));
  CHECK(status.code() == StatusCode::kInternal);
  CHECK(status.message().find("row 2") != std::string::npos);
  CHECK(execute(*instance, floats({1, 2, 4})).is_ok());
}

TEST(only_the_first_element_of_a_row_is_poison) {
  const auto model = load({{"dtype", "int64"}, {"width", "2"}, {"fail_value", "-7"}});
  const auto instance = instance_of(*model);
  Tensor input = Tensor::allocate(DType::kInt64, {1, 2});
  input.as<std::int64_t>()[0] = 1;
  input.as<std::int64_t>()[1] = -7;
  CHECK(execute(*instance, input).is_ok());
  input.as<std::int64_t>()[0] = -7;
  CHECK(!execute(*instance, input).is_ok());
}

TEST(a_string_can_be_poison) {
  const auto model = load({{"dtype", "string"}, {"width", ""}, {"fail_value", "bad"}});
  const auto instance = instance_of(*model);
  Tensor input = Tensor::allocate(DType::kString, {2});
  CHECK(execute(*instance, input).is_ok());
  input.strings()[1] = "bad";
  CHECK(!execute(*instance, input).is_ok());
}

TEST(a_delay_is_slept_and_keeps_the_model_off_the_callers_thread) {
  const auto model = load({{"width", "1"}, {"delay_us", "2000"}});
  const auto instance = instance_of(*model);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(execute(*instance, floats({1})).is_ok());
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::microseconds(2000));
  CHECK(!model->may_run_inline());
  CHECK(load({})->may_run_inline());
}

TEST(the_spec_follows_the_options) {
  const auto model = load({{"dtype", "uint8"}, {"width", "3x8"}, {"inputs", "2"}});
  const ModelSpec& spec = model->spec();
  REQUIRE(spec.inputs.size() == 2 && spec.outputs.size() == 2);
  CHECK_EQ(spec.inputs[1].name, "input1");
  CHECK_EQ(spec.outputs[0].name, "output0");
  CHECK(spec.inputs[0].dtype == DType::kUint8);
  CHECK(spec.inputs[0].dims == (std::vector<std::int64_t>{-1, 3, 8}));
  CHECK(spec.batchable);
}

TEST(bad_options_are_refused_by_name) {
  const Options bad[] = {{{"dtype", "float128"}}, {{"width", "3x"}},    {{"width", "-1"}},
                         {{"inputs", "0"}},       {{"inputs", "65"}},   {{"batchable", "yes"}},
                         {{"delay_us", "soon"}},  {{"fail_every", ""}}, {{"fail_value", "x"}},
                         {{"delay_us", "1 "}},    {{"colour", "red"}}};
  for (const Options& options : bad) {
    const Status status = refusal(options);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.message().find(options.begin()->first) != std::string::npos);
  }
}

}  // namespace
}  // namespace slipstream
