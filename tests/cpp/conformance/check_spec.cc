// What a spec may say.
#include <iostream>
#include <set>

#include "conformance/samples.h"
#include "conformance/target.h"
#include "harness.h"

namespace slipstream::conformance {
namespace {

void check_side(const std::vector<TensorSpec>& tensors, bool batchable, const char* side) {
  std::set<std::string> names;
  for (const TensorSpec& tensor : tensors) {
    std::cerr << "     " << side << ' ' << describe(tensor) << '\n';
    CHECK(!tensor.name.empty());
    CHECK(names.insert(tensor.name).second);
    for (const std::int64_t dim : tensor.dims) CHECK(dim >= -1);
    // The rank of an output may be open; then it looks like a scalar.
    if (batchable && !tensor.dims.empty()) CHECK_EQ(tensor.dims[0], -1);
  }
}

TEST(spec_is_sane) {
  const auto model = load_model();
  const ModelSpec& spec = model->spec();
  CHECK(!spec.inputs.empty());
  CHECK(!spec.outputs.empty());
  check_side(spec.inputs, spec.batchable, "input ");
  check_side(spec.outputs, spec.batchable, "output");
  std::cerr << "     batchable: " << (spec.batchable ? "yes" : "no") << '\n';
  if (spec.batchable) {
    for (const TensorSpec& input : spec.inputs) CHECK(!input.dims.empty());
  }
  if (target().batchable) CHECK_EQ(spec.batchable, *target().batchable);
}

TEST(backend_knows_its_name) {
  CHECK_EQ(backend().name(), target().backend);
  std::cerr << "     version: " << backend().version() << '\n';
}

TEST(spec_is_the_same_at_every_load) {
  const auto first = load_model();
  const auto second = load_model();
  REQUIRE(first->spec().inputs.size() == second->spec().inputs.size());
  for (std::size_t i = 0; i < first->spec().inputs.size(); ++i) {
    CHECK_EQ(describe(first->spec().inputs[i]), describe(second->spec().inputs[i]));
  }
  CHECK_EQ(first->spec().batchable, second->spec().batchable);
}

}  // namespace
}  // namespace slipstream::conformance
