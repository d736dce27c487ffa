// Who owns what, and for how long.
#include <memory_resource>
#include <thread>

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

std::vector<Tensor> inputs_of(const Model& model, std::uint64_t seed) {
  return make_inputs(model.spec(), 3, seed, target().dynamic_dim);
}

std::vector<Tensor> run(Instance& instance, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> outputs;
  const Status status = instance.execute({.inputs = inputs}, outputs);
  CHECK_EQ(status.message(), "");
  REQUIRE(status.is_ok());
  return outputs;
}

// Counts what is allocated and not yet given back.
class CountingResource final : public std::pmr::memory_resource {
 public:
  [[nodiscard]] long outstanding() const { return outstanding_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++outstanding_;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    --outstanding_;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
  long outstanding_ = 0;
};

TEST(inputs_may_be_reused_as_soon_as_execute_returns) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  auto inputs = inputs_of(*model, 1);
  const auto expected = deep_copy(run(*instance, inputs));
  const auto outputs = run(*instance, inputs);
  scribble(inputs);
  inputs.clear();
  CHECK_EQ(difference(outputs, expected, true), "");
}

TEST(outputs_stay_as_they_are_through_later_calls_and_unloading) {
  auto model = load_model();
  auto instance = create_instance(*model);
  const auto outputs = run(*instance, inputs_of(*model, 1));
  const auto expected = deep_copy(outputs);
  for (std::uint64_t seed = 2; seed < 6; ++seed) {
    const auto later = run(*instance, inputs_of(*model, seed));
    CHECK_EQ(difference(outputs, expected, true), "");
  }
  instance.reset();
  CHECK_EQ(difference(outputs, expected, true), "");
  model.reset();
  CHECK_EQ(difference(outputs, expected, true), "");
}

TEST(outputs_belong_to_the_caller_who_may_write_to_them) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 1);
  auto outputs = run(*instance, inputs);
  const auto expected = deep_copy(outputs);
  scribble(outputs);
  CHECK_EQ(difference(run(*instance, inputs), expected, true), "");
}

TEST(what_is_taken_from_the_memory_resource_is_given_back) {
  CountingResource memory;
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 1);
  const auto expected = run(*instance, inputs);
  {
    std::vector<Tensor> outputs;
    REQUIRE(instance->execute({.inputs = inputs, .memory = &memory}, outputs).is_ok());
    CHECK_EQ(difference(outputs, expected, true), "");
  }
  CHECK_EQ(memory.outstanding(), 0);
}

TEST(an_instance_may_wander_between_threads) {
  const auto model = load_model();
  auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 1);
  const auto expected = run(*instance, inputs);
  std::thread([&] { CHECK_EQ(difference(run(*instance, inputs), expected, true), ""); }).join();
  CHECK_EQ(difference(run(*instance, inputs), expected, true), "");
  std::thread([&] { instance.reset(); }).join();
}

TEST(instances_and_models_come_and_go_without_disturbing_others) {
  auto first = load_model();
  const auto second = load_model();
  auto one = create_instance(*first);
  const auto other = create_instance(*second);
  const auto inputs = inputs_of(*first, 1);
  const auto expected = run(*one, inputs);
  auto sibling = create_instance(*first);
  one.reset();
  CHECK_EQ(difference(run(*sibling, inputs), expected, true), "");
  sibling.reset();
  first.reset();
  CHECK_EQ(difference(run(*other, inputs), expected, true), "");
}

}  // namespace
}  // namespace slipstream::conformance
