// The answers another implementation gave: bit for bit.
#include "conformance/reference.h"

#include <algorithm>

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

// The tensors in the order the spec names them.
std::vector<Tensor> in_order(const std::vector<NamedTensor>& named,
                             const std::vector<TensorSpec>& specs) {
  std::vector<Tensor> tensors;
  for (const TensorSpec& spec : specs) {
    const auto found = std::ranges::find(named, spec.name, &NamedTensor::name);
    REQUIRE(found != named.end());
    tensors.push_back(found->tensor);
  }
  return tensors;
}

TEST(answers_are_those_of_the_reference) {
  if (target().reference_path.empty()) return;
  const auto cases = read_reference(target().reference_path);
  const auto model = load_model();
  const auto instance = create_instance(*model);
  for (const ReferenceCase& one : cases) {
    CHECK_EQ(one.inputs.size(), model->spec().inputs.size());
    CHECK_EQ(one.outputs.size(), model->spec().outputs.size());
    const auto inputs = in_order(one.inputs, model->spec().inputs);
    std::vector<Tensor> outputs;
    const Status status = instance->execute({.inputs = inputs}, outputs);
    CHECK_EQ(status.message(), "");
    REQUIRE(status.is_ok());
    CHECK_EQ(difference(outputs, in_order(one.outputs, model->spec().outputs), true), "");
  }
}

}  // namespace
}  // namespace slipstream::conformance
