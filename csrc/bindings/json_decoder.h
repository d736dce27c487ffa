// JsonDecoder: the JSON of one model's `data` into its tensors. Immutable; any thread.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"
#include "wire/input_schema.h"

namespace slipstream::bindings {

class JsonDecoder {
 public:
  // Throws ValueError for a layout or a dtype that there is none of.
  JsonDecoder(const std::string& layout, const pybind11::sequence& inputs,
              std::vector<std::string> column_names, bool accepts_missing,
              std::vector<std::size_t> ignored, std::size_t max_depth, std::int64_t max_rows);

  // With the GIL, which is released while a large document is parsed; `json` must outlive the call.
  [[nodiscard]] Result<std::vector<Tensor>> decode(std::string_view json) const;

 private:
  InputSchema schema_;
  DecodeLimits limits_;
};

}  // namespace slipstream::bindings
