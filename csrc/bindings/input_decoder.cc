#include "bindings/input_decoder.h"

#include <memory>
#include <memory_resource>
#include <utility>

#include "bindings/errors.h"
#include "bindings/python_owner.h"
#include "wire/decode.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// Below this the GIL's hand-over costs more than the reading it would let others run beside.
constexpr std::size_t kReleaseAboveBytes = 16 * 1024;

struct View {
  py::buffer_info info;  // keeps the bytes where they are
  std::string_view bytes;
};

std::pmr::memory_resource* memory() noexcept {
  return std::pmr::new_delete_resource();
}

Layout layout_of(const std::string& name) {
  if (name == "matrix") return Layout::kMatrix;
  if (name == "columns") return Layout::kColumns;
  if (name == "tensors") return Layout::kTensors;
  throw py::value_error("layout '" + name + "' is not one of matrix, columns, tensors");
}

View view_of(const py::buffer& data) {
  py::buffer_info info = data.request();
  if (info.itemsize != 1 || info.ndim != 1 || info.strides[0] != 1) {
    throw py::value_error("data must be bytes");
  }
  const std::string_view bytes(static_cast<const char*>(info.ptr),
                               static_cast<std::size_t>(info.size));
  return {std::move(info), bytes};
}

// What tensors that view the bytes hold on to. Anything but bytes may move its memory while no view
// is open, so it is a view that is held.
std::shared_ptr<void> owner_of(const py::buffer& data) {
  if (PyBytes_CheckExact(data.ptr())) return share_python_object(data);
  PyObject* const view = PyMemoryView_FromObject(data.ptr());
  if (view == nullptr) throw py::error_already_set();
  return share_python_object(py::reinterpret_steal<py::object>(view));
}

template <class Decode>
Result<std::vector<Tensor>> run(std::string_view bytes, const Decode& decode_now) {
  if (bytes.size() < kReleaseAboveBytes) return decode_now();
  const py::gil_scoped_release release;
  return decode_now();
}

InputsObject inputs_of(Result<std::vector<Tensor>>&& decoded) {
  raise_unless_ok(decoded.status());
  return {std::move(decoded).value()};
}

}  // namespace

InputDecoder::InputDecoder(const std::string& layout, const py::sequence& inputs,
                           std::vector<std::string> column_names, bool accepts_missing,
                           std::vector<std::size_t> ignored, std::size_t max_depth,
                           std::int64_t max_rows, bool takes_text) {
  schema_.layout = layout_of(layout);
  for (const py::handle input : inputs) schema_.inputs.push_back(tensor_spec_of(input));
  schema_.column_names = std::move(column_names);
  schema_.accepts_missing = accepts_missing;
  schema_.ignored = std::move(ignored);
  schema_.takes_text = takes_text;
  limits_.max_depth = max_depth;
  limits_.max_rows = max_rows;
}

Result<std::vector<Tensor>> InputDecoder::decode(std::string_view json) const {
  return run(json, [&] { return decode_inputs(json, schema_, limits_, memory()); });
}

InputsObject InputDecoder::decode(const py::buffer& data) const {
  const View view = view_of(data);
  return inputs_of(decode(view.bytes));
}

InputsObject InputDecoder::decode_msgpack(const py::buffer& data) const {
  const View view = view_of(data);
  const std::shared_ptr<void> owner = owner_of(data);
  return inputs_of(run(view.bytes, [&] {
    return slipstream::decode_msgpack(view.bytes, owner, schema_, limits_, memory());
  }));
}

InputsObject InputDecoder::decode_tensor(const py::buffer& data, const std::string& dtype,
                                         std::vector<std::int64_t> shape) const {
  const View view = view_of(data);
  const std::shared_ptr<void> owner = owner_of(data);
  const wire::RawTensor raw{view.bytes, dtype, std::move(shape)};
  return inputs_of(
      run(view.bytes, [&] { return decode_raw(raw, owner, schema_, limits_, memory()); }));
}

}  // namespace slipstream::bindings
