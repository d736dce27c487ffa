// Result: a core Response as Python sees it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "core/completion.h"

namespace slipstream::bindings {

// Class labels as JSON and as MessagePack, made once per model, so that answering with labels is
// copying bytes.
struct LabelTable {
  std::vector<std::string> labels_json;
  std::vector<std::string> labels_msgpack;
};

struct ResultObject {
  Response response;

  void raise_for_status() const;
  [[nodiscard]] pybind11::list outputs() const;
  // Output `index` as JSON; `labels` maps class indices to labels. Throws IndexError, and
  // ValueError for an output that was not asked for.
  [[nodiscard]] pybind11::bytes encode_json(std::size_t index, const LabelTable* labels) const;
  // The same as MessagePack.
  [[nodiscard]] pybind11::bytes encode_msgpack(std::size_t index, const LabelTable* labels) const;
  // (little-endian bytes, dtype, shape) of output `index`. Throws as encode_json, and
  // InvalidInputError for strings.
  [[nodiscard]] pybind11::tuple encode_raw(std::size_t index) const;

 private:
  [[nodiscard]] const Tensor& output(std::size_t index) const;
};

}  // namespace slipstream::bindings
