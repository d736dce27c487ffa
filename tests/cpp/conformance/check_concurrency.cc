// Several instances of a model, and several models, at work at the same time.
#include <thread>

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kCalls = 20;

struct Question {
  std::vector<Tensor> inputs;
  std::vector<Tensor> answer;
};

// Requests of different sizes with the answers one instance gives when it is alone.
std::vector<Question> ask_alone(Model& model) {
  const auto instance = create_instance(model);
  std::vector<Question> questions(kCalls);
  for (std::size_t i = 0; i < kCalls; ++i) {
    Question& question = questions[i];
    question.inputs =
        make_inputs(model.spec(), static_cast<std::int64_t>(1 + i % 5), i, target().dynamic_dim);
    REQUIRE(instance->execute({.inputs = question.inputs}, question.answer).is_ok());
  }
  return questions;
}

void ask_all(Instance& instance, const std::vector<Question>& questions, std::size_t offset) {
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[(i + offset) % questions.size()];
    const Status status = instance.execute({.inputs = question.inputs}, outputs);
    CHECK_EQ(status.message(), "");
    if (status.is_ok()) CHECK_EQ(difference(outputs, question.answer, true), "");
  }
}

TEST(instances_in_several_threads_answer_as_one_does) {
  const auto model = load_model();
  const auto questions = ask_alone(*model);
  std::vector<std::unique_ptr<Instance>> instances;
  for (std::size_t i = 0; i < kThreads; ++i) instances.push_back(create_instance(*model));
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { ask_all(*instances[i], questions, i * 3); });
  }
}

TEST(models_load_run_and_unload_in_several_threads) {
  const auto model = load_model();
  const auto questions = ask_alone(*model);
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&questions, i] {
      const auto own_model = load_model();
      const auto own_instance = create_instance(*own_model);
      ask_all(*own_instance, questions, i);
    });
  }
}

}  // namespace
}  // namespace slipstream::conformance
