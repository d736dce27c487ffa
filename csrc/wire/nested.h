// NestedReader: one value, nested lists as deep as the input's rank, into one tensor. Serves
// kTensors (each input) and kMatrix with rows as lists; the lists of the last axis go through
// read_run, compiled per dtype.
//
// One object reads one value, on one thread. Failure as in decode_context.h. Recursion is as deep
// as the rank, which is checked against max_depth. Compiled for Json and Msgpack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/shape.h"
#include "core/tensor.h"
#include "wire/decode_context.h"
#include "wire/list_run.h"
#include "wire/place.h"
#include "wire/tensor_buffer.h"

namespace slipstream::wire {

template <class Format>
class NestedReader {
 public:
  // `depth`: how many lists and objects the value lies in. Where it is the model's only input, the
  // bytes left of the document tell how much more is to come.
  NestedReader(DecodeContext& context, const TensorSpec& spec, Role role, std::size_t depth);

  // Reads the value at the cursor.
  [[nodiscard]] bool read(Tensor& tensor);

 private:
  using Frame = typename Format::Frame;
  using ReadLeaf = bool (NestedReader::*)(std::size_t axis, Frame& list);

  [[nodiscard]] bool read_list(std::size_t axis);
  [[nodiscard]] bool read_lists(std::size_t axis, Frame& list);
  template <class Cell>
  [[nodiscard]] bool read_leaf(std::size_t axis, Frame& list);
  [[nodiscard]] bool stands_for_list(std::size_t axis) const noexcept;
  [[nodiscard]] bool read_text(std::size_t axis);
  [[nodiscard]] bool read_scalar();
  [[nodiscard]] bool grow();
  [[nodiscard]] bool close_list(std::size_t axis, std::int64_t count);
  [[nodiscard]] std::int64_t fixed_elements() const noexcept;

  // Off the hot path, in nested_failures.h; all return false.
  [[nodiscard]] bool fail_not_list(std::size_t axis);
  [[nodiscard]] bool fail_cell(Fault fault, std::int64_t position);
  [[nodiscard]] bool fail_empty(std::size_t axis);
  [[nodiscard]] bool fail_size(std::size_t axis, std::int64_t count);
  [[nodiscard]] bool fail_too_long(std::size_t axis, std::int64_t read, Frame& list);
  [[nodiscard]] bool fail_rows();
  [[nodiscard]] bool fail_elements();
  [[nodiscard]] std::string place(std::size_t depth) const {
    return place_of(context_.schema, spec_, role_, dims_.rank(), index_.dims().first(depth));
  }

  DecodeContext& context_;
  const TensorSpec& spec_;
  const Role role_;
  const std::size_t depth_;
  const char* const begin_;
  ReadLeaf read_leaf_ = nullptr;
  Shape dims_;   // -1 until the first list of that axis has been read
  Shape index_;  // how many elements of each open list have been read
  TensorBuffer buffer_;
  std::int64_t size_ = 0;  // elements read
};

}  // namespace slipstream::wire
