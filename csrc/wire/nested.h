// NestedReader: one JSON value, nested lists as deep as the input's rank, into one tensor. Serves
// kTensors (each input) and kMatrix with rows as lists; the lists of the last axis go through
// read_run, compiled per dtype.
//
// One object reads one value, on one thread. Failure as in decode_context.h. Recursion is as deep
// as the rank, which is checked against max_depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/shape.h"
#include "core/tensor.h"
#include "wire/decode_context.h"
#include "wire/list_run.h"
#include "wire/tensor_buffer.h"

namespace slipstream::wire {

class NestedReader {
 public:
  // What the value is, for its messages and for what may be empty.
  enum class Role : std::uint8_t {
    kRows,    // all the data of a kMatrix model: "row 3, column 'age'"; nothing may be empty
    kTensor,  // an input by name: "input 'x' at [3][1]"; dynamic inner dimensions may be empty
  };

  // `depth`: how many lists and objects the value lies in. Where it is the model's only input, the
  // bytes left of the document tell how much more is to come.
  NestedReader(DecodeContext& context, const TensorSpec& spec, Role role, std::size_t depth);

  // Reads the value at the cursor.
  [[nodiscard]] bool read(Tensor& tensor);

 private:
  using ReadLeaf = bool (NestedReader::*)(std::size_t axis);

  [[nodiscard]] bool read_list(std::size_t axis);
  [[nodiscard]] bool read_lists(std::size_t axis);
  template <class Cell>
  [[nodiscard]] bool read_leaf(std::size_t axis);
  [[nodiscard]] bool read_scalar();
  [[nodiscard]] bool grow();
  [[nodiscard]] bool close_list(std::size_t axis, std::int64_t count);
  [[nodiscard]] std::int64_t fixed_elements() const noexcept;

  // Off the hot path, in nested_failures.cc; all return false.
  [[nodiscard]] bool fail_not_list(std::size_t axis);
  [[nodiscard]] bool fail_cell(Fault fault, std::int64_t position);
  [[nodiscard]] bool fail_empty(std::size_t axis);
  [[nodiscard]] bool fail_size(std::size_t axis, std::int64_t count);
  [[nodiscard]] bool fail_too_long(std::size_t axis, std::int64_t read);
  [[nodiscard]] bool fail_rows();
  [[nodiscard]] bool fail_elements();
  // The place index_[0 .. depth) in words: "row 3", "input 'x' at [3][1]".
  [[nodiscard]] std::string place(std::size_t depth) const;

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
