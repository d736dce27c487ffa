// What execute answers: shapes, types, masks, and rows that do not depend on their company.
#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

std::vector<Tensor> inputs_of(const Model& model, std::int64_t rows, std::uint64_t seed) {
  return make_inputs(model.spec(), rows, seed, target().dynamic_dim);
}

std::vector<Tensor> run(Instance& instance, const std::vector<Tensor>& inputs,
                        std::uint64_t outputs_wanted = ~std::uint64_t{0}) {
  std::vector<Tensor> outputs;
  const Status status =
      instance.execute({.inputs = inputs, .outputs_wanted = outputs_wanted}, outputs);
  CHECK_EQ(status.message(), "");
  REQUIRE(status.is_ok());
  return outputs;
}

void check_against_spec(const Model& model, const std::vector<Tensor>& outputs, std::int64_t rows) {
  const ModelSpec& spec = model.spec();
  REQUIRE(outputs.size() == spec.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& expected = spec.outputs[i];
    CHECK(outputs[i].dtype() == expected.dtype);
    if (spec.batchable) CHECK_EQ(outputs[i].rows(), rows);
    if (expected.dims.empty()) continue;  // a scalar, or an open rank
    REQUIRE(outputs[i].shape().rank() == expected.dims.size());
    for (std::size_t axis = 0; axis < expected.dims.size(); ++axis) {
      if (expected.dims[axis] >= 0) CHECK_EQ(outputs[i].shape()[axis], expected.dims[axis]);
    }
  }
}

TEST(one_row_and_several_rows_have_the_shapes_of_the_spec) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  for (const std::int64_t rows : {1, 2, 7, 33, 1}) {
    check_against_spec(*model, run(*instance, inputs_of(*model, rows, 1)), rows);
  }
}

TEST(the_same_inputs_give_the_same_answer) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 3, 2);
  const auto first = run(*instance, inputs);
  (void)run(*instance, inputs_of(*model, 5, 3));
  CHECK_EQ(difference(first, run(*instance, inputs), true), "");
}

TEST(a_row_does_not_depend_on_its_company) {
  const auto model = load_model();
  if (!model->spec().batchable) return;
  const auto instance = create_instance(*model);
  const std::vector<std::vector<Tensor>> requests{inputs_of(*model, 1, 4), inputs_of(*model, 3, 5),
                                                  inputs_of(*model, 1, 6)};
  const auto together = run(*instance, concatenate(requests));
  std::int64_t row = 0;
  for (const auto& request : requests) {
    const std::int64_t rows = request.front().rows();
    const auto alone = run(*instance, request);
    CHECK_EQ(difference(alone, slice_rows(together, row, row + rows), false), "");
    row += rows;
  }
}

TEST(inputs_may_be_views_into_larger_tensors) {
  const auto model = load_model();
  if (!model->spec().batchable) return;
  const auto instance = create_instance(*model);
  const auto whole = inputs_of(*model, 5, 7);
  const auto view = slice_rows(whole, 1, 4);  // aligned to an element, no more
  CHECK_EQ(difference(run(*instance, view), run(*instance, deep_copy(view)), true), "");
}

TEST(no_rows_are_answered_with_no_rows_or_refused) {
  const auto model = load_model();
  if (!model->spec().batchable) return;
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 0, 8);
  std::vector<Tensor> outputs;
  if (instance->execute({.inputs = inputs}, outputs).is_ok()) {
    REQUIRE(outputs.size() == model->spec().outputs.size());
    for (const Tensor& output : outputs) CHECK_EQ(output.rows(), 0);
  }
  check_against_spec(*model, run(*instance, inputs_of(*model, 2, 8)), 2);
}

TEST(unwanted_outputs_do_not_change_the_wanted_ones) {
  const auto model = load_model();
  const auto instance = create_instance(*model);
  const auto inputs = inputs_of(*model, 3, 9);
  const auto all = run(*instance, inputs);
  for (std::size_t i = 0; i < std::min<std::size_t>(all.size(), 64); ++i) {
    const auto only = run(*instance, inputs, std::uint64_t{1} << i);
    REQUIRE(only.size() == all.size());
    CHECK_EQ(difference(only[i], all[i], false), "");
  }
  CHECK_EQ(run(*instance, inputs, 0).size(), all.size());
  CHECK_EQ(difference(run(*instance, inputs), all, true), "");
}

}  // namespace
}  // namespace slipstream::conformance
