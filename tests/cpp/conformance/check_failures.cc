// What must be refused, how, and that the instance is none the worse for it.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

bool mentions(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

std::vector<Tensor> inputs_of(const Model& model, std::int64_t rows) {
  return make_inputs(model.spec(), rows, 1, target().dynamic_dim);
}

Status status_of(Instance& instance, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> outputs;
  return instance.execute({.inputs = inputs}, outputs);
}

// The inputs with their first tensor replaced.
std::vector<Tensor> with_first(std::vector<Tensor> inputs, DType dtype, Shape shape) {
  const std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  ModelSpec spec;
  spec.inputs.push_back({.name = "replacement", .dtype = dtype, .dims = dims});
  inputs.front() = make_inputs(spec, 1, 2, 1).front();
  return inputs;
}

TEST(an_unknown_option_is_refused_by_name) {
  ModelConfig config = target().config;
  config.options["no_such_option"] = "1";
  const Status status = backend().load(config).status();
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(mentions(status, "no_such_option"));
}

TEST(a_missing_file_is_not_found) {
  ModelConfig config = target().config;
  config.path = "/no/such/folder/model";
  const Status status = backend().load(config).status();
  CHECK(status.code() == StatusCode::kNotFound);
  CHECK(mentions(status, config.path));
}

TEST(a_junk_file_is_refused) {
  if (target().config.path.empty()) return;
  const auto extension = std::filesystem::path(target().config.path).extension().string();
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("slipstream_junk_" + std::to_string(getpid()) + extension))
                               .string();
  std::ofstream(path) << "(this is) no model: at all\x01\x02\x03";
  ModelConfig config = target().config;
  config.path = path;
  const Status status = backend().load(config).status();
  std::filesystem::remove(path);
  CHECK(!status.is_ok());
  CHECK(!status.message().empty());
}

TEST(a_wrong_number_of_inputs_is_refused) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  auto inputs = inputs_of(*model, 1);
  CHECK(status_of(*instance, {}).code() == StatusCode::kInvalidArgument);
  inputs.push_back(inputs.front());
  CHECK(status_of(*instance, inputs).code() == StatusCode::kInvalidArgument);
  CHECK_EQ(status_of(*instance, inputs_of(*model, 1)).message(), "");
}

TEST(a_wrong_dtype_is_refused) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 1);
  for (const DType dtype : {DType::kInt64, DType::kFloat32, DType::kFloat64, DType::kString}) {
    if (dtype == inputs.front().dtype()) continue;
    const Status status = status_of(*instance, with_first(inputs, dtype, inputs.front().shape()));
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(!status.message().empty());
  }
  CHECK_EQ(status_of(*instance, inputs).message(), "");
}

TEST(a_wrong_shape_is_refused) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 2);
  const Shape& right = inputs.front().shape();
  const DType dtype = inputs.front().dtype();

  std::vector<std::int64_t> dims(right.dims().begin(), right.dims().end());
  dims.push_back(2);
  const auto higher = with_first(inputs, dtype, Shape(std::span<const std::int64_t>(dims)));
  CHECK(status_of(*instance, higher).code() == StatusCode::kInvalidArgument);

  const std::vector<std::int64_t>& expected = model->spec().inputs.front().dims;
  for (std::size_t axis = 0; axis < expected.size(); ++axis) {
    if (expected[axis] < 0) continue;
    Shape wrong = right;
    wrong.set_dim(axis, right[axis] + 1);
    const Status status = status_of(*instance, with_first(inputs, dtype, wrong));
    CHECK(status.code() == StatusCode::kInvalidArgument);
  }
  CHECK_EQ(status_of(*instance, inputs).message(), "");
}

}  // namespace
}  // namespace slipstream::conformance
