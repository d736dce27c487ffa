// The forest backend through its shared library: options, files on disk, tensors that do not fit,
// batches that several threads share. What it has in common with others is checked by the
// conformance suite.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "conformance/samples.h"
#include "core/backend.h"
#include "core/backend_loader.h"
#include "forest/random_trees.h"
#include "forest/step_fixture.h"

namespace slipstream::forest {
namespace {

namespace fs = std::filesystem;

Backend& forest_backend() {
  static BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> backend = registry.open("forest");
  CHECK_EQ(backend.status().message(), "");
  REQUIRE(backend.is_ok());
  return *backend.value();
}

// A file that goes when the test does.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    static int count = 0;
    path_ = (fs::temp_directory_path() /
             ("slipstream_forest_" + std::to_string(getpid()) + "_" + std::to_string(++count)))
                .string();
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { fs::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using Options = std::map<std::string, std::string>;

std::unique_ptr<Model> load(const TemporaryFile& file, const Options& options = {}) {
  Result<std::unique_ptr<Model>> model =
      forest_backend().load({.path = file.path(), .options = options});
  CHECK_EQ(model.status().message(), "");
  REQUIRE(model.is_ok());
  return std::move(model).value();
}

std::unique_ptr<Instance> instance_of(Model& model) {
  Result<std::unique_ptr<Instance>> instance = model.create_instance();
  REQUIRE(instance.is_ok());
  return std::move(instance).value();
}

std::vector<Tensor> run(Instance& instance, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> outputs;
  const Status status = instance.execute({.inputs = inputs}, outputs);
  CHECK_EQ(status.message(), "");
  return outputs;
}

TEST(the_spec_is_what_the_file_says) {
  const TemporaryFile file(sample_file());
  const auto model = load(file);
  const ModelSpec& spec = model->spec();
  CHECK(spec.batchable);
  REQUIRE(spec.inputs.size() == 2 && spec.outputs.size() == 4);
  CHECK_EQ(conformance::describe(spec.inputs[0]), "numbers: float64 [?, 3]");
  CHECK_EQ(conformance::describe(spec.inputs[1]), "town: string [?, 1]");
  CHECK_EQ(conformance::describe(spec.outputs[0]), "label: string [?]");
  CHECK_EQ(conformance::describe(spec.outputs[1]), "probabilities: float64 [?, 2]");
}

TEST(bad_options_are_refused_by_name) {
  const TemporaryFile file(sample_file());
  for (const auto& [key, text] : Options{{"threads", "0"}, {"algorithm", "abacus"}}) {
    const Status status =
        forest_backend().load({.path = file.path(), .options = {{key, text}}}).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(status.message().find(text) != std::string::npos);
  }
  CHECK(!forest_backend().load({.path = file.path(), .options = {{"threads", "2000"}}}).is_ok());
}

TEST(what_is_no_file_is_not_found) {
  const fs::path folder = fs::temp_directory_path();
  const Status status = forest_backend().load({.path = folder.string(), .options = {}}).status();
  CHECK(status.code() == StatusCode::kNotFound);
  CHECK(!forest_backend().load({.path = "", .options = {}}).is_ok());
  const TemporaryFile empty("");
  CHECK(!forest_backend().load({.path = empty.path(), .options = {}}).is_ok());
}

TEST(a_damaged_file_is_refused_with_its_path) {
  std::string bytes = sample_file();
  bytes[bytes.size() / 2] ^= 1;
  const TemporaryFile file(bytes);
  const Status status = forest_backend().load({.path = file.path(), .options = {}}).status();
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.message().find(file.path()) != std::string::npos);
}

TEST(a_loaded_model_outlives_its_file) {
  std::unique_ptr<Model> model;
  std::vector<Tensor> before;
  const std::vector<Tensor> inputs = {doubles(3, {1, 2, 3}), strings(1, {"Ulm"})};
  {
    const TemporaryFile file(sample_file());
    model = load(file);
    before = run(*instance_of(*model), inputs);
    const TemporaryFile other("something else");
    fs::rename(other.path(), file.path());  // as artifacts are replaced
  }
  CHECK_EQ(conformance::difference(run(*instance_of(*model), inputs), before, true), "");
}

TEST(inputs_of_different_rows_are_refused) {
  const TemporaryFile file(sample_file());
  const auto model = load(file);
  const auto instance = instance_of(*model);
  const std::vector<Tensor> inputs = {doubles(3, {1, 2, 3}), strings(1, {"Ulm", "Ulm"})};
  std::vector<Tensor> outputs;
  const Status status = instance->execute({.inputs = inputs}, outputs);
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.message().find("town") != std::string::npos);
}

TEST(no_rows_give_no_rows) {
  const TemporaryFile file(sample_file());
  const auto model = load(file);
  const std::vector<Tensor> inputs = {doubles(3, {}), strings(1, {})};
  const std::vector<Tensor> outputs = run(*instance_of(*model), inputs);
  REQUIRE(outputs.size() == 4);
  CHECK_EQ(outputs[0].rows(), 0);
  CHECK_EQ(outputs[1].shape()[1], 2);
}

// Trees that take long enough for a batch to be shared.
std::string slow_file(Random& random) {
  ForestWriter writer;
  OwnedTrees trees;
  do {
    trees = random_trees(random, {.features = 20, .trees = 400, .leaves = 300, .outputs = 3});
  } while (trees.roots.size() < 200);
  const auto x = writer.input("x", DType::kFloat64, trees.features);
  auto sums = writer.trees(x, trees);
  if (trees.float32_sums) sums = writer.step(Op::kCast, {sums}, {}, {12});
  const auto shares = writer.step(Op::kSoftmax, {sums}, {}, {0});
  const auto best = writer.step(Op::kArgmax, {shares});
  std::vector<std::string> labels;
  for (std::uint32_t i = 0; i < trees.outputs; ++i) labels.push_back(std::string(20, 'a') + "b");
  writer.output("label", writer.step(Op::kLabelText, {best}, texts(labels)), true);
  writer.output("shares", shares);
  return writer.bytes();
}

TEST(threads_share_large_batches_and_change_no_answer) {
  Random random(7);
  const TemporaryFile file(slow_file(random));
  const auto alone = load(file, {{"threads", "1"}});
  const auto shared = load(file, {{"threads", "4"}});
  const auto one = instance_of(*alone);
  const auto other = instance_of(*shared);
  for (const std::int64_t rows : {1, 16, 40, 64, 65, 600, 1100, 3000, 5}) {
    const auto inputs = conformance::make_inputs(alone->spec(), rows, 3, 1);
    CHECK_EQ(conformance::difference(run(*other, inputs), run(*one, inputs), true), "");
  }
}

TEST(instances_share_the_helpers) {
  Random random(8);
  const TemporaryFile file(slow_file(random));
  const auto model = load(file, {{"threads", "4"}});
  const auto inputs = conformance::make_inputs(model->spec(), 1500, 3, 1);
  const auto expected_answer = run(*instance_of(*model), inputs);
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const auto instance = instance_of(*model);
      for (int call = 0; call < 4; ++call) {
        CHECK_EQ(conformance::difference(run(*instance, inputs), expected_answer, true), "");
      }
    });
  }
}

TEST(many_sets_of_wanted_outputs_take_turns) {
  ForestWriter writer;
  const auto x = writer.input("x", DType::kFloat64, 1);
  for (int i = 0; i < 64; ++i) {
    writer.output("y" + std::to_string(i),
                  writer.step(Op::kAdd, {x}, {array_of({static_cast<double>(i)})}), true);
  }
  const TemporaryFile file(writer.bytes());
  const auto model = load(file);
  const auto instance = instance_of(*model);
  const std::vector<Tensor> inputs = {doubles(1, {0.5})};
  std::vector<Tensor> outputs;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint64_t wanted = (std::uint64_t{1} << i) | 1U;
      REQUIRE(instance->execute({.inputs = inputs, .outputs_wanted = wanted}, outputs).is_ok());
      CHECK_EQ(outputs[i].as<double>()[0], 0.5 + static_cast<double>(i));
      if (i > 1) CHECK_EQ(outputs[i - 1].owner() == nullptr, true);
    }
  }
}

}  // namespace
}  // namespace slipstream::forest
