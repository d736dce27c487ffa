#include "bindings/json_decoder.h"

#include <memory_resource>
#include <utility>

#include "bindings/inputs.h"
#include "wire/decode.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// Below this the GIL's hand-over costs more than the parsing it would let others run beside.
constexpr std::size_t kReleaseAboveBytes = 16 * 1024;

Layout layout_of(const std::string& name) {
  if (name == "matrix") return Layout::kMatrix;
  if (name == "columns") return Layout::kColumns;
  if (name == "tensors") return Layout::kTensors;
  throw py::value_error("layout '" + name + "' is not one of matrix, columns, tensors");
}

}  // namespace

JsonDecoder::JsonDecoder(const std::string& layout, const py::sequence& inputs,
                         std::vector<std::string> column_names, bool accepts_missing,
                         std::vector<std::size_t> ignored, std::size_t max_depth,
                         std::int64_t max_rows) {
  schema_.layout = layout_of(layout);
  for (const py::handle input : inputs) schema_.inputs.push_back(tensor_spec_of(input));
  schema_.column_names = std::move(column_names);
  schema_.accepts_missing = accepts_missing;
  schema_.ignored = std::move(ignored);
  limits_.max_depth = max_depth;
  limits_.max_rows = max_rows;
}

Result<std::vector<Tensor>> JsonDecoder::decode(std::string_view json) const {
  std::pmr::memory_resource* const memory = std::pmr::new_delete_resource();
  if (json.size() < kReleaseAboveBytes) return decode_inputs(json, schema_, limits_, memory);
  const py::gil_scoped_release release;
  return decode_inputs(json, schema_, limits_, memory);
}

}  // namespace slipstream::bindings
