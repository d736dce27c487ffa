// TableReader: rows of named or mixed-type columns. Serves kColumns, a tensor per column, and
// kMatrix where rows are objects; both are a grid of slots, each column with its own place,
// distance between rows and reader of values.
//
// One object reads one value, on one thread. Failure as in decode_context.h. Compiled for Json and
// Msgpack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "wire/decode_context.h"
#include "wire/name_index.h"
#include "wire/tensor_buffer.h"

namespace slipstream::wire {

template <class Format>
class TableReader {
 public:
  // `names` has one name per column. Precondition: the schema is kMatrix with one rank-2 input and
  // names.size() columns, or kColumns with names.size() inputs.
  TableReader(DecodeContext& context, std::vector<std::string_view> names);

  // Reads the list of rows at the cursor and appends the schema's inputs to `tensors`.
  [[nodiscard]] bool read(std::vector<Tensor>& tensors);

 private:
  using Frame = typename Format::Frame;
  using ReadCell = Fault (*)(Cursor& cursor, void* element, CellContext& context);

  [[nodiscard]] static ReadCell reader_of(DType dtype, bool is_ignored);

  struct Column {
    ReadCell read;
    DType dtype;
    std::byte* base = nullptr;   // the element in row 0
    std::size_t stride = 0;      // bytes from row to row
    std::int64_t last_row = -1;  // that named it: finds duplicate and missing keys
    bool is_ignored = false;
  };

  [[nodiscard]] bool read_rows();
  [[nodiscard]] bool read_row();
  [[nodiscard]] bool read_list_row(Frame& list);
  [[nodiscard]] bool read_object_row(Frame& object);
  [[nodiscard]] bool read_member(std::size_t position);
  [[nodiscard]] bool read_cell(std::size_t column);
  [[nodiscard]] bool fill_missing_columns();
  [[nodiscard]] bool grow();
  void place_columns() noexcept;
  [[nodiscard]] bool is_matrix() const noexcept {
    return context_.schema.layout == Layout::kMatrix;
  }

  // Off the hot path, in table_failures.h; all return false.
  [[nodiscard]] bool fail_not_rows();
  [[nodiscard]] bool fail_row_kind();
  [[nodiscard]] bool fail_width(std::size_t count);
  [[nodiscard]] bool fail_too_wide(std::size_t read, Frame& list);
  [[nodiscard]] bool fail_cell(std::size_t column, Fault fault);
  [[nodiscard]] bool fail_missing_column();
  [[nodiscard]] std::string row_name() const;

  DecodeContext& context_;
  NameIndex names_;
  std::vector<Column> columns_;
  std::vector<TensorBuffer> buffers_;  // one for kMatrix, else one per column
  std::string key_scratch_;
  const char* const begin_;
  std::int64_t row_ = 0;       // being read; in the end, their number
  std::int64_t capacity_ = 0;  // rows
  bool rows_are_objects_ = false;
};

}  // namespace slipstream::wire
