// What only the torch backend does: modules that remember, and signatures that do not fit.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/backend_loader.h"
#include "harness.h"

namespace slipstream {
namespace {

using Options = std::map<std::string, std::string>;

Backend& torch_backend() {
  static BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  static const Result<Backend*> opened = registry.open("torch");
  REQUIRE(opened.is_ok());
  return *opened.value();
}

Result<std::unique_ptr<Model>> load(const std::string& name, const Options& options) {
  return torch_backend().load(
      {.path = std::string(SLIPSTREAM_TORCH_MODELS) + "/" + name + ".pt", .options = options});
}

const Options kSum{
    {"inputs", "float32 -1,2 x"}, {"outputs", "float32 2 output"}, {"states", "calls\ntotal"}};

Tensor row_of(float first, float second) {
  Tensor tensor = Tensor::allocate(DType::kFloat32, {1, 2});
  tensor.as<float>()[0] = first;
  tensor.as<float>()[1] = second;
  return tensor;
}

Tensor no_state() {
  return Tensor::allocate(DType::kUint8, {0});
}

struct Answer {
  Status status;
  std::vector<Tensor> outputs;
  [[nodiscard]] float first() const { return outputs[0].as<float>()[0]; }
  [[nodiscard]] const Tensor& state() const { return outputs[1]; }
};

Answer ask(Instance& instance, const Tensor& x, const Tensor& state) {
  Answer answer;
  const std::vector<Tensor> inputs{x, state};
  answer.status = instance.execute({.inputs = inputs}, answer.outputs);
  return answer;
}

struct Loaded {
  std::unique_ptr<Model> model;
  std::unique_ptr<Instance> instance;
};

Loaded load_sum() {
  auto model = load("sum", kSum);
  REQUIRE(model.is_ok());
  auto instance = model.value()->create_instance();
  REQUIRE(instance.is_ok());
  return {std::move(model).value(), std::move(instance).value()};
}

TEST(a_state_goes_where_the_caller_takes_it) {
  const Loaded sum = load_sum();
  const Answer once = ask(*sum.instance, row_of(1, 2), no_state());
  REQUIRE(once.status.is_ok());
  CHECK_EQ(once.first(), 1.0F);
  const Answer twice = ask(*sum.instance, row_of(10, 0), once.state());
  REQUIRE(twice.status.is_ok());
  CHECK_EQ(twice.first(), 22.0F);  // (1 + 10) times 2 calls
  const Answer other = ask(*sum.instance, row_of(5, 0), no_state());
  CHECK_EQ(other.first(), 5.0F);  // nothing of the calls before
  const Answer again = ask(*sum.instance, row_of(10, 0), once.state());
  CHECK_EQ(again.first(), 22.0F);  // a state may be used more than once
}

TEST(instances_share_no_state) {
  const Loaded sum = load_sum();
  auto second = sum.model->create_instance();
  REQUIRE(second.is_ok());
  const Answer left = ask(*sum.instance, row_of(1, 0), no_state());
  const Answer right = ask(*second.value(), row_of(3, 0), left.state());
  CHECK_EQ(right.first(), 8.0F);
  CHECK_EQ(ask(*sum.instance, row_of(1, 0), no_state()).first(), 1.0F);
}

// Every shortening of a state, and every byte of it changed, is refused or is another state; none
// is read beyond its end, which the sanitizers would see.
TEST(bytes_that_are_no_state_are_refused) {
  const Loaded sum = load_sum();
  const Answer once = ask(*sum.instance, row_of(1, 2), no_state());
  const auto size = once.state().rows();
  const std::byte* const bytes = once.state().data();
  for (std::int64_t length = 1; length <= size + 1; ++length) {
    Tensor changed = Tensor::allocate(DType::kUint8, {length});
    for (std::int64_t i = 0; i < length; ++i) {
      changed.data()[i] = i < size ? bytes[i] : std::byte{0};
    }
    const Status status = ask(*sum.instance, row_of(0, 0), changed).status;
    CHECK_EQ(status.is_ok(), length == size);
    if (!status.is_ok()) CHECK(status.code() == StatusCode::kInvalidArgument);
  }
  for (std::int64_t place = 0; place < size; ++place) {
    for (const int value : {0, 1, 2, 255}) {
      Tensor changed = Tensor::allocate(DType::kUint8, {size});
      std::copy_n(bytes, size, changed.data());
      changed.data()[place] = static_cast<std::byte>(value);
      const Status status = ask(*sum.instance, row_of(0, 0), changed).status;
      const bool is_known = status.is_ok() || status.code() == StatusCode::kInvalidArgument ||
                            status.code() == StatusCode::kInternal;  // a sum of other sizes
      CHECK(is_known);
    }
  }
  CHECK_EQ(ask(*sum.instance, row_of(1, 2), no_state()).first(), 1.0F);
}

TEST(signatures_that_do_not_fit_are_refused_by_name) {
  const auto refusal = [](const std::string& name, const Options& options) {
    const Status status = load(name, options).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    return status.message();
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const std::string one = "float32 -1,3 output";
  CHECK(contains(refusal("mlp", {{"inputs", "float32 -1,16 y"}, {"outputs", one}}), "'x'") ||
        contains(refusal("mlp", {{"inputs", "float32 -1,16 y"}, {"outputs", one}}), "input"));
  CHECK(contains(refusal("mlp", {{"inputs", "float33 -1,16 x"}, {"outputs", one}}), "inputs"));
  CHECK(contains(refusal("mlp", {{"inputs", "float32 -1,, x"}, {"outputs", one}}), "inputs"));
  CHECK(contains(refusal("mlp", {{"inputs", "string -1 input"}, {"outputs", one}}), "input"));
  CHECK(contains(refusal("mlp", {{"outputs", one}}), "inputs"));
  CHECK(contains(refusal("texts", {{"inputs", "string -1 texts\nint64 - word"},
                                   {"outputs", "string -1 output_0\nint64 - output_1"}}),
                 "'word'"));
  Options options = kSum;
  options["states"] = "missing.total";
  auto model = load("sum", options);
  REQUIRE(model.is_ok());
  CHECK(contains(model.value()->create_instance().status().message(), "'missing.total'"));
}

TEST(a_package_has_no_states) {
  Options options = kSum;
  options["kind"] = "package";
  CHECK(load("sum", options).status().message().find("states") != std::string::npos);
}

}  // namespace
}  // namespace slipstream
