#include "core/compose/fan_out.h"

#include <algorithm>
#include <utility>

#include "core/compose/composite_run.h"

namespace slipstream {
namespace {

bool narrows(DType from, DType to) noexcept {
  return from == DType::kFloat64 && to == DType::kFloat32;
}

// Whether a member that takes `theirs` can be given what `ours` describes.
bool is_compatible(const TensorSpec& ours, const TensorSpec& theirs) {
  return (ours.dtype == theirs.dtype || narrows(ours.dtype, theirs.dtype)) &&
         std::ranges::equal(ours.dims, theirs.dims,
                            [](auto x, auto y) { return x == y || x < 0 || y < 0; });
}

Tensor rounded(const Tensor& doubles) {
  Tensor floats = Tensor::allocate(DType::kFloat32, doubles.shape());
  std::ranges::transform(doubles.as<double>(), floats.as<float>().begin(),
                         [](double value) { return static_cast<float>(value); });
  return floats;
}

// Views of the inputs, rounded where the member takes float32; `narrow` keeps what was rounded.
std::vector<Tensor> inputs_for(const ModelSpec& spec, const std::vector<Tensor>& inputs,
                               std::vector<Tensor>& narrow) {
  std::vector<Tensor> own(inputs);  // the elements are shared, and only read
  for (std::size_t i = 0; i < std::min(own.size(), spec.inputs.size()); ++i) {
    if (!narrows(own[i].dtype(), spec.inputs[i].dtype)) continue;
    narrow.resize(inputs.size());
    if (narrow[i].data() == nullptr) narrow[i] = rounded(inputs[i]);
    own[i] = narrow[i];
  }
  return own;
}

}  // namespace

Status check_fan_out(const std::string& kind, const std::string& name, const ModelSpec& spec,
                     const std::vector<CompositeMember>& members) {
  if (members.empty()) return invalid_argument(kind + " '" + name + "' needs at least one member");
  for (const CompositeMember& member : members) {
    if (member.model == nullptr) {
      return invalid_argument(kind + " '" + name + "' has a member that is not loaded");
    }
    if (std::ranges::equal(spec.inputs, member.model->spec().inputs, is_compatible)) continue;
    const CompositeMember& first = members.front();
    if (&member == &first) {
      return invalid_argument(kind + " '" + name + "': member '" + member.model->name() +
                              "' takes other inputs than were said");
    }
    return invalid_argument(kind + " '" + name + "': members '" + first.model->name() + "' and '" +
                            member.model->name() +
                            "' take different inputs; all members must take the same");
  }
  return Status::ok();
}

Status fan_out(CompositeRun& run, const std::vector<Tensor>& inputs, std::size_t count) {
  std::vector<Tensor> narrow;
  for (std::size_t member = 0; member < count && !run.has_ended(); ++member) {
    const ModelSpec& spec = run.members()[member].model->spec();
    Status status = run.submit(member, inputs_for(spec, inputs, narrow));
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace slipstream
