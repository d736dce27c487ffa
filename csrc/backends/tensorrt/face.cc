#include "backends/tensorrt/face.h"

#include <algorithm>
#include <limits>

namespace slipstream::tensorrt {
namespace {

std::string noun_of(const Described& tensor) {
  return std::string(tensor.is_input ? "input" : "output") + " '" + tensor.name + "'";
}

Status check_kind(const Described& tensor, const std::string& file) {
  const std::string begin = "tensorrt backend: " + file + ": " + noun_of(tensor) + " ";
  if (tensor.is_on_host) {
    return invalid_argument(begin +
                            "is a shape tensor, which is read on the host before the device "
                            "begins; make it a constant of the model, or derive it from the shape "
                            "of another input, and build the plan again");
  }
  if (!tensor.dtype) {
    return invalid_argument(begin + "has the element type " + tensor.type_name +
                            ", which slipstream does not carry: cast it inside the model, for "
                            "example to float16");
  }
  if (!tensor.is_linear) {
    return invalid_argument(begin +
                            "is in a format of TensorRT's own; build the plan with linear inputs "
                            "and outputs (trtexec --inputIOFormats, --outputIOFormats)");
  }
  return Status::ok();
}

bool has_dynamic_rows(const TensorSpec& tensor) {
  return !tensor.dims.empty() && tensor.dims[0] < 0;
}

Status check_may_batch(const ModelSpec& spec, const std::string& file) {
  if (spec.inputs.empty()) {
    return invalid_argument("tensorrt backend: option 'batchable' is true, but " + file +
                            " has no input");
  }
  for (const auto* const side : {&spec.inputs, &spec.outputs}) {
    for (const TensorSpec& tensor : *side) {
      if (has_dynamic_rows(tensor)) continue;
      return invalid_argument("tensorrt backend: option 'batchable' is true, but '" + tensor.name +
                              "' of " + file + " has shape " + to_string(tensor.dims) +
                              ": its first dimension is fixed");
    }
  }
  return Status::ok();
}

std::string range_of(std::int64_t min, std::int64_t max) {
  if (min == max) return std::to_string(min);
  return std::to_string(min) + " to " + std::to_string(max);
}

std::string to_string(const Bounds& bounds) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < bounds.min.size(); ++axis) {
    if (axis != 0) text += ", ";
    text += range_of(bounds.min[axis], bounds.max[axis]);
  }
  return text + "]";
}

bool fits(const Bounds& bounds, std::span<const std::int64_t> dims) {
  if (dims.size() != bounds.min.size()) return false;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] < bounds.min[axis] || dims[axis] > bounds.max[axis]) return false;
  }
  return true;
}

// Rows that every input takes.
std::int64_t most_rows(const std::vector<Bounds>& bounds) {
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const Bounds& input : bounds) most = std::min(most, input.max[0]);
  return most;
}

}  // namespace

Result<Face> face_of(const std::vector<Described>& tensors, const TensorRtOptions& options,
                     const std::string& file) {
  Face face;
  face.profile = options.profile;
  ModelSpec& spec = face.spec;
  for (const Described& tensor : tensors) {
    if (Status status = check_kind(tensor, file); !status.is_ok()) return status;
    TensorSpec one{.name = tensor.name, .dtype = *tensor.dtype, .dims = tensor.dims};
    if (!tensor.is_input) {
      spec.outputs.push_back(std::move(one));
      continue;
    }
    if (tensor.min.size() != tensor.dims.size() || tensor.max.size() != tensor.dims.size()) {
      return invalid_argument("tensorrt backend: " + file + ": optimization profile " +
                              std::to_string(options.profile) + " says nothing of " +
                              noun_of(tensor));
    }
    spec.inputs.push_back(std::move(one));
    face.bounds.push_back({.min = tensor.min, .max = tensor.max});
  }
  if (options.batchable == Batchable::kYes) {
    if (Status status = check_may_batch(spec, file); !status.is_ok()) return status;
    spec.batchable = true;
  } else if (options.batchable == Batchable::kAuto) {
    spec.batchable = !spec.inputs.empty() && !spec.outputs.empty() &&
                     std::ranges::all_of(spec.inputs, has_dynamic_rows) &&
                     std::ranges::all_of(spec.outputs, has_dynamic_rows);
  }
  if (spec.batchable) {
    spec.max_rows = most_rows(face.bounds);
    for (const Bounds& input : face.bounds) face.min_rows = std::max(face.min_rows, input.min[0]);
  }
  return face;
}

Status check_fits(const Face& face, std::size_t input, std::span<const std::int64_t> dims) {
  const Bounds& bounds = face.bounds[input];
  if (fits(bounds, dims)) return Status::ok();
  return invalid_argument("tensorrt backend: input '" + face.spec.inputs[input].name +
                          "' has shape " + slipstream::to_string(dims) +
                          ", and optimization profile " + std::to_string(face.profile) +
                          " of the plan takes " + to_string(bounds) +
                          "; build the plan for such sizes (min, opt and max shapes)");
}

}  // namespace slipstream::tensorrt
