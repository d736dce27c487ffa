// RawReader: a raw tensor (raw_tensor.h) into a model's inputs.
//
// One object reads one tensor, on one thread. Failure as in decode_context.h; bytes have no syntax
// that could be wrong, so every failure is filled in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "wire/decode_context.h"
#include "wire/place.h"
#include "wire/raw_tensor.h"

namespace slipstream::wire {

class RawReader {
 public:
  RawReader(DecodeContext& context, const RawTensor& raw) : context_(context), raw_(raw) {}

  // One input: all the data of a kMatrix model, or an input of kTensors.
  [[nodiscard]] bool read_input(const TensorSpec& spec, Role role, Tensor& tensor);
  // The inputs of kColumns, one a column of [rows, columns].
  [[nodiscard]] bool read_columns(const std::vector<std::string_view>& names,
                                  std::vector<Tensor>& tensors);

 private:
  struct Strides {
    std::size_t from;  // elements, both
    std::size_t to;
  };

  [[nodiscard]] bool check(const std::string& place);
  [[nodiscard]] bool check_dtype(const std::string& place);
  [[nodiscard]] bool check_takes(const TensorSpec& spec, const std::string& place);
  [[nodiscard]] bool fits(const TensorSpec& spec, Role role);
  [[nodiscard]] bool read_same(const TensorSpec& spec, Role role, const Shape& shape,
                               Tensor& tensor);
  [[nodiscard]] bool read_used_columns(const TensorSpec& spec, Tensor& tensor);
  // Converts `count` elements from the `first` on; the first one that does not fit, or -1.
  [[nodiscard]] std::int64_t convert(DType to, std::size_t first, Strides strides,
                                     std::int64_t count, std::byte* target);
  [[nodiscard]] bool is_ignored(std::size_t column) const noexcept;
  [[nodiscard]] bool fail_value(const TensorSpec& spec, Role role, std::int64_t element);
  [[nodiscard]] std::string why(DType dtype, std::int64_t element) const;
  [[nodiscard]] std::string shape_text() const;

  DecodeContext& context_;
  const RawTensor& raw_;
  DType dtype_ = DType::kFloat32;
  std::int64_t elements_ = 0;
  Fault fault_ = Fault::kNone;  // of the last convert()
};

}  // namespace slipstream::wire
