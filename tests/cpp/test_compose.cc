// Ensembles and pipelines: right answers, what members inherit, mistakes found when they are made;
// and that no worker waits for another.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compose_fixture.h"

namespace slipstream {
namespace {

using testing::Control;
using testing::ControlledModel;
using testing::kLongNs;
using testing::Members;
using testing::mentions;

TEST(an_ensemble_combines_what_its_members_answer) {
  Members members(3);
  const auto ensemble = members.ensemble();
  REQUIRE(members.submit(*ensemble, 1, 5, 3).is_ok());
  REQUIRE(members.sink->wait_for(1));
  const Response response = members.sink->response(1);
  REQUIRE(response.status.is_ok());
  CHECK_EQ(response.outputs.at(0).rows(), 3);
  CHECK_EQ(response.outputs.at(0).as<double>()[2], 14.0);
  CHECK(response.execute_ns > 0 && response.total_ns > 0);
  CHECK_EQ(ensemble->stats().succeeded.value(), 1U);
  for (const auto& control : members.controls) CHECK_EQ(control->batch_sizes().size(), 1U);
}

TEST(members_run_at_the_same_time) {
  Members members(3);
  const auto ensemble = members.ensemble();
  for (const auto& control : members.controls) control->close_gate();
  REQUIRE(members.submit(*ensemble, 1, 5).is_ok());
  for (const auto& control : members.controls) control->wait_at_gate(1);  // all are in execute
  for (const auto& control : members.controls) control->open_gate();
  CHECK(members.sink->wait_for(1));
}

TEST(a_pipeline_passes_outputs_on) {
  Members members(3);
  const auto pipeline = members.pipeline();
  REQUIRE(members.submit(*pipeline, 1, 1, 2).is_ok());
  REQUIRE(members.sink->wait_for(1));
  const Response response = members.sink->response(1);
  REQUIRE(response.status.is_ok());
  CHECK_EQ(response.outputs.at(0).as<double>()[1], 16.0);
}

TEST(a_transform_stands_between_steps) {
  Members members(2);
  const auto pipeline = members.pipeline([](std::vector<Tensor>&& tensors) {
    for (double& value : tensors.at(0).as<double>()) value += 100;
    return Result<std::vector<Tensor>>(std::move(tensors));
  });
  REQUIRE(members.submit(*pipeline, 1, 1).is_ok());
  REQUIRE(members.sink->wait_for(1));
  CHECK_EQ(members.sink->response(1).outputs.at(0).as<double>()[0], 204.0);
}

// One worker each, and the second step is held: were the first step's worker waiting for it, the
// first step could not go on to other requests.
TEST(no_worker_waits_for_another) {
  Members members(2);
  const auto pipeline = members.pipeline();
  members.controls[1]->close_gate();
  REQUIRE(members.submit(*pipeline, 1, 1).is_ok());
  members.controls[1]->wait_at_gate(1);
  for (std::uint64_t tag = 2; tag < 12; ++tag) {
    const std::size_t before = members.controls[0]->batch_sizes().size();
    REQUIRE(members.submit(*pipeline, tag, 1).is_ok());
    members.controls[0]->wait_for_execution(before + 1);
  }
  CHECK_EQ(members.sink->total(), 0U);
  members.controls[1]->open_gate();
  CHECK(members.sink->wait_for(11));
}

TEST(bad_inputs_and_options_are_refused) {
  Members members(2);
  const auto ensemble = members.ensemble();
  std::vector<Tensor> wrong{Tensor::allocate(DType::kInt32, {1, 1})};
  CHECK(ensemble->submit(std::move(wrong), {}, members.sink, 1, nullptr).code() ==
        StatusCode::kInvalidArgument);
  RequestOptions options;
  options.priority = 99;
  CHECK(members.submit(*ensemble, 1, 1, 1, options).code() == StatusCode::kInvalidArgument);
  options = {};
  options.deadline_ns = now_ns() - 1;
  CHECK(members.submit(*ensemble, 1, 1, 1, options).code() == StatusCode::kDeadlineExceeded);
  ensemble->close(now_ns() + kLongNs);
  CHECK_EQ(members.sink->total(), 0U);
}

TEST(members_inherit_the_deadline) {
  Members members(2);
  const auto pipeline = members.pipeline();
  members.controls[1]->close_gate();
  RequestOptions options;
  options.deadline_ns = now_ns() + 100'000'000;
  REQUIRE(members.submit(*pipeline, 1, 1, 1, options).is_ok());
  REQUIRE(members.sink->wait_for(1));  // the gate is still closed: only the deadline can end it
  CHECK(members.status_of(1).code() == StatusCode::kDeadlineExceeded);
  CHECK(mentions(members.status_of(1), "pipeline 'chain', member '"));
  CHECK(now_ns() >= options.deadline_ns);
}

TEST(members_inherit_the_priority) {
  Members members(1);
  const auto pipeline = members.pipeline();
  members.controls[0]->close_gate();
  RequestOptions one_by_one;
  one_by_one.max_batch_rows = 1;
  REQUIRE(members.submit(*pipeline, 1, 1, 1, one_by_one).is_ok());
  members.controls[0]->wait_at_gate(1);
  for (const int priority : {kLowPriority, kNormalPriority, kUrgentPriority}) {
    RequestOptions options = one_by_one;
    options.priority = priority;
    const auto tag = static_cast<std::uint64_t>(priority + 10);
    REQUIRE(members.submit(*pipeline, tag, 1, 1, options).is_ok());
  }
  members.controls[0]->open_gate();
  REQUIRE(members.sink->wait_for(4));
  const std::vector<std::uint64_t> expected{1, 20, 10, 9};
  CHECK(members.sink->order() == expected);
}

TEST(mistakes_in_the_composition_are_found_when_it_is_made) {
  Members members(1);
  CHECK(make_ensemble("x", {}, weighted_mean(0)).status().code() == StatusCode::kInvalidArgument);
  CHECK(make_ensemble("x", {{nullptr}}, weighted_mean(0)).status().code() ==
        StatusCode::kInvalidArgument);
  CHECK(!make_ensemble("x", {{members.models[0]}}, nullptr).is_ok());
  CHECK(!make_pipeline("x", {}).is_ok());
  CHECK(!make_pipeline("x", {{{nullptr}}}).is_ok());

  class TwoInputs : public ControlledModel {
   public:
    explicit TwoInputs(std::shared_ptr<Control> control) : ControlledModel(std::move(control)) {
      spec_.inputs.push_back(spec_.inputs.front());
    }
    const ModelSpec& spec() const noexcept override { return spec_; }

   private:
    ModelSpec spec_ = ControlledModel::spec();
  };
  ServeOptions options;
  options.name = "z";
  auto other = ServedModel::create(members.pool, members.timer,
                                   std::make_unique<TwoInputs>(members.controls[0]), options);
  REQUIRE(other.is_ok());
  const Status ensemble =
      make_ensemble("x", {{members.models[0]}, {other.value()}}, weighted_mean(0)).status();
  CHECK(mentions(ensemble, "'a' and 'z'"));
  const Status pipeline = make_pipeline("x", {{{members.models[0]}}, {{other.value()}}}).status();
  CHECK(mentions(pipeline, "'z' does not take what 'a' answers"));
}

}  // namespace
}  // namespace slipstream
