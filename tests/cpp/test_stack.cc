// Stacking, members that belong to a composite, and members of another precision.
#include "core/compose/stack.h"

#include <string>
#include <utility>
#include <vector>

#include "compose_fixture.h"
#include "core/compose/vote.h"

namespace slipstream {
namespace {

using testing::Control;
using testing::ControlledModel;
using testing::counting_rows;
using testing::kLongNs;
using testing::Members;
using testing::mentions;

const ModelSpec kTable{.inputs = {{.name = "x", .dtype = DType::kFloat64, .dims = {-1, 1}}},
                       .outputs = {{.name = "y", .dtype = DType::kFloat64, .dims = {-1, -1}}},
                       .batchable = true};

ServeOptions named(std::string name) {
  ServeOptions options;
  options.name = std::move(name);
  return options;
}

StackOptions options_for(std::size_t members, bool is_passthrough) {
  StackOptions options{.readers = {}, .is_passthrough = is_passthrough};
  for (std::size_t i = 0; i < members; ++i) {
    options.readers.push_back({.member = std::string(1, static_cast<char>('a' + i))});
  }
  return options;
}

// The last of the models is the final one.
std::shared_ptr<Composite> stack_of(Members& members, bool is_passthrough) {
  std::vector<CompositeMember> composed;
  for (const auto& model : members.models) composed.push_back({.model = model});
  auto made = make_stack("tower", kTable, std::move(composed),
                         options_for(members.models.size() - 1, is_passthrough));
  REQUIRE(made.is_ok());
  return members.composites.emplace_back(std::move(made).value());
}

TEST(the_final_model_gets_the_members_answers_as_columns) {
  Members members(3);
  const auto stack = stack_of(members, false);
  REQUIRE(members.submit(*stack, 1, 5, 2).is_ok());
  REQUIRE(members.sink->wait_for(1));
  const Response response = members.sink->response(1);
  REQUIRE(response.status.is_ok());
  const Tensor& answer = response.outputs.at(0);
  CHECK_EQ(answer.shape()[1], 2);  // a column a member
  const auto values = answer.as<double>();
  CHECK_EQ(values[0], 20.0);  // doubled by each member, and by the final model
  CHECK_EQ(values[3], 24.0);
}

TEST(the_requests_own_columns_follow_if_they_are_passed_through) {
  Members members(2);
  const auto stack = stack_of(members, true);
  REQUIRE(members.submit(*stack, 1, 5).is_ok());
  REQUIRE(members.sink->wait_for(1));
  const Response response = members.sink->response(1);
  REQUIRE(response.status.is_ok());
  const auto values = response.outputs.at(0).as<double>();
  REQUIRE(values.size() == 2);
  CHECK_EQ(values[0], 20.0);
  CHECK_EQ(values[1], 10.0);
}

TEST(a_failure_names_the_member_or_the_final_model) {
  Members members(2);
  const auto stack = stack_of(members, false);
  members.controls[0]->poison = 5;
  REQUIRE(members.submit(*stack, 1, 5).is_ok());
  members.controls[1]->poison = 12;  // of the final model: what the member answers to 6
  REQUIRE(members.submit(*stack, 2, 6).is_ok());
  REQUIRE(members.sink->wait_for(2));
  CHECK(mentions(members.status_of(1), "ensemble 'tower', member 'a': poisoned row"));
  CHECK(mentions(members.status_of(2), "ensemble 'tower', member 'b': poisoned row"));
}

TEST(mistakes_of_a_stack_are_found_when_it_is_made) {
  Members members(2);
  const auto made = [&](ModelSpec spec, std::vector<CompositeMember> composed, bool passes) {
    return make_stack("x", std::move(spec), std::move(composed), options_for(1, passes)).status();
  };
  const CompositeMember a{.model = members.models[0]};
  const CompositeMember b{.model = members.models[1]};
  CHECK(mentions(made(kTable, {a}, false), "at least one member"));
  CHECK(mentions(made(kTable, {a, {.model = nullptr}}, false), "no final model"));
  ModelSpec any_width = kTable;
  any_width.inputs.front().dims[1] = -1;
  CHECK(mentions(made(any_width, {a, b}, true), "passthrough"));
  ModelSpec other = kTable;
  other.inputs.front().dtype = DType::kInt64;
  CHECK(mentions(made(other, {a, b}, false), "takes other inputs"));

  class Wide : public ControlledModel {
   public:
    explicit Wide(std::shared_ptr<Control> control) : ControlledModel(std::move(control)) {
      spec_.inputs.front().dims[1] = 7;
    }
    const ModelSpec& spec() const noexcept override { return spec_; }

   private:
    ModelSpec spec_ = ControlledModel::spec();
  };
  auto wide = ServedModel::create(members.pool, members.timer,
                                  std::make_unique<Wide>(members.controls[1]), named("wide"));
  REQUIRE(wide.is_ok());
  CHECK(mentions(made(kTable, {a, {.model = wide.value()}}, false), "takes 7 columns"));
}

TEST(members_of_its_own_end_with_a_composite_and_shared_ones_stay) {
  Members members(2);
  auto made = make_ensemble(
      "both", {{.model = members.models[0], .is_owned = true}, {.model = members.models[1]}},
      weighted_mean(0));
  REQUIRE(made.is_ok());
  const auto ensemble = members.composites.emplace_back(std::move(made).value());
  CHECK_EQ(ensemble->instances(), 1U);
  REQUIRE(members.submit(*ensemble, 1, 1).is_ok());
  ensemble->close(now_ns() + kLongNs);
  CHECK(members.status_of(1).is_ok());
  const auto alone = [&](std::size_t place, std::uint64_t tag) {
    std::vector<Tensor> inputs{counting_rows(1, 1)};
    return members.models[place]->submit(std::move(inputs), {}, members.sink, tag, nullptr).code();
  };
  CHECK(alone(0, 2) == StatusCode::kUnavailable);
  CHECK(alone(1, 3) == StatusCode::kOk);
  CHECK(members.sink->wait_for(2));
}

// Doubles float32 rows, and says what it was given.
class FloatModel : public Model {
 public:
  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    return std::unique_ptr<Instance>(std::make_unique<FloatInstance>());
  }

 private:
  class FloatInstance : public Instance {
   public:
    Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
      const Tensor& input = execution.inputs.front();
      outputs.assign(1, Tensor::allocate(DType::kFloat32, input.shape()));
      for (std::size_t i = 0; i < input.as<float>().size(); ++i) {
        outputs.front().as<float>()[i] = 2 * input.as<float>()[i];
      }
      return Status::ok();
    }
  };
  ModelSpec spec_{.inputs = {{.name = "other", .dtype = DType::kFloat32, .dims = {-1, -1}}},
                  .outputs = {{.name = "y", .dtype = DType::kFloat32, .dims = {-1, -1}}},
                  .batchable = true};
};

TEST(members_that_take_float32_get_the_numbers_rounded) {
  Members members(1);
  auto narrow = ServedModel::create(members.pool, members.timer, std::make_unique<FloatModel>(),
                                    named("narrow"));
  REQUIRE(narrow.is_ok());
  auto combine = mean_of_columns({{.member = "a"}, {.member = "narrow"}}, {});
  REQUIRE(combine.is_ok());
  auto made =
      make_ensemble("both", kTable, {{.model = members.models[0]}, {.model = narrow.value()}},
                    std::move(combine).value());
  REQUIRE(made.is_ok());
  const auto ensemble = members.composites.emplace_back(std::move(made).value());
  REQUIRE(members.submit(*ensemble, 1, 0.1).is_ok());
  REQUIRE(members.sink->wait_for(1));
  const Response response = members.sink->response(1);
  REQUIRE(response.status.is_ok());
  const double rounded = 2 * static_cast<double>(0.1F);
  CHECK_EQ(response.outputs.at(0).as<double>()[0], (0.2 + rounded) / 2);
  ensemble->close(0);
  narrow.value()->close(0);
}

}  // namespace
}  // namespace slipstream
