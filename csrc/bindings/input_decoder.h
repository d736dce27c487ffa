// InputDecoder: one model's `data` into its tensors, from JSON, MessagePack or a tensor's bytes.
// Immutable; any thread, with the GIL, which is released while a large document is read.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/inputs.h"
#include "core/status.h"
#include "core/tensor.h"
#include "wire/input_schema.h"

namespace slipstream::bindings {

class InputDecoder {
 public:
  // Throws ValueError for a layout or a dtype that there is none of.
  InputDecoder(const std::string& layout, const pybind11::sequence& inputs,
               std::vector<std::string> column_names, bool accepts_missing,
               std::vector<std::size_t> ignored, std::size_t max_depth, std::int64_t max_rows,
               bool takes_text);

  // JSON that outlives the call.
  [[nodiscard]] Result<std::vector<Tensor>> decode(std::string_view json) const;

  // These throw what the Status stands for. Tensors may view `data`, and then hold on to it.
  [[nodiscard]] InputsObject decode(const pybind11::buffer& data) const;
  [[nodiscard]] InputsObject decode_msgpack(const pybind11::buffer& data) const;
  [[nodiscard]] InputsObject decode_tensor(const pybind11::buffer& data, const std::string& dtype,
                                           std::vector<std::int64_t> shape) const;

 private:
  InputSchema schema_;
  DecodeLimits limits_;
};

}  // namespace slipstream::bindings
