// Result: a core Response as Python sees it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "core/completion.h"

namespace slipstream::bindings {

// Class labels as JSON, made once per model, so that answering with labels is copying bytes.
struct LabelTable {
  std::vector<std::string> labels_json;
};

struct ResultObject {
  Response response;

  void raise_for_status() const;
  [[nodiscard]] pybind11::list outputs() const;
  // Output `index` as JSON; `labels` maps class indices to labels. Throws IndexError, and
  // ValueError for an output that was not asked for.
  [[nodiscard]] pybind11::bytes encode_json(std::size_t index, const LabelTable* labels) const;
};

}  // namespace slipstream::bindings
