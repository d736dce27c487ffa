#include "wire/table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/json.h"
#include "wire/message.h"
#include "wire/msgpack.h"
#include "wire/table_failures.h"

namespace slipstream::wire {

template <class Format>
TableReader<Format>::TableReader(DecodeContext& context, std::vector<std::string_view> names)
    : context_(context), names_(std::move(names)), begin_(context.cursor.next) {
  const std::vector<TensorSpec>& inputs = context.schema.inputs;
  for (const TensorSpec& input : inputs) buffers_.emplace_back(input.dtype, context.memory);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const DType dtype = inputs[is_matrix() ? 0 : i].dtype;
    const bool is_ignored =
        std::ranges::find(context.schema.ignored, i) != context.schema.ignored.end();
    columns_.push_back({.read = reader_of(dtype, is_ignored),
                        .dtype = dtype,
                        .base = nullptr,
                        .stride = 0,
                        .last_row = -1,
                        .is_ignored = is_ignored});
  }
}

template <class Format>
typename TableReader<Format>::ReadCell TableReader<Format>::reader_of(DType dtype,
                                                                      bool is_ignored) {
  return visit_cell(dtype, [is_ignored](auto cell) -> ReadCell {
    using Cell = decltype(cell);
    using Element = typename Cell::Element;
    if (is_ignored) {
      return [](Cursor& cursor, void* element, CellContext& cells) {
        *static_cast<Element*>(element) = Element{};
        return Format::skip(cursor, cells.max_depth) ? Fault::kNone : Fault::kSyntax;
      };
    }
    return [](Cursor& cursor, void* element, CellContext& cells) {
      return Cell::template read<Format>(cursor, *static_cast<Element*>(element), cells);
    };
  });
}

template <class Format>
bool TableReader<Format>::read(std::vector<Tensor>& tensors) {
  if (!read_rows()) return false;
  const std::vector<TensorSpec>& inputs = context_.schema.inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int64_t expected = inputs[i].dims.front();
    if (expected >= 0 && expected != row_) {
      return context_.fail("data has " + counted(row_, "row") + ", expected " +
                           std::to_string(expected));
    }
    const auto width = static_cast<std::int64_t>(is_matrix() ? columns_.size() : 1);
    tensors.push_back(
        buffers_[i].finish(inputs[i].dims.size() == 1 ? Shape{row_} : Shape{row_, width}));
  }
  return true;
}

template <class Format>
bool TableReader<Format>::read_rows() {
  Cursor& cursor = context_.cursor;
  Format::skip_space(cursor);
  Frame rows;
  if (!Format::open_list(cursor, rows)) return fail_not_rows();
  if (context_.limits.max_depth < 1) return false;  // as Format::check will say
  if (!Format::has_item(cursor, rows)) return context_.fail("data has no rows");
  rows_are_objects_ = Format::kind(cursor) == ValueKind::kObject;
  for (;; ++row_) {
    if (row_ == capacity_ && !grow()) return false;
    if (!read_row()) return false;
    const Next behind = Format::next_item(cursor, rows);
    if (behind == Next::kItem) continue;
    ++row_;
    return behind == Next::kEnd;
  }
}

template <class Format>
bool TableReader<Format>::read_row() {
  Cursor& cursor = context_.cursor;
  Frame row;
  const bool opened =
      rows_are_objects_ ? Format::open_object(cursor, row) : Format::open_list(cursor, row);
  if (!opened) return fail_row_kind();
  if (context_.limits.max_depth < 2) return false;
  return rows_are_objects_ ? read_object_row(row) : read_list_row(row);
}

template <class Format>
bool TableReader<Format>::read_list_row(Frame& list) {
  Cursor& cursor = context_.cursor;
  if (!Format::has_item(cursor, list)) return fail_width(0);
  for (std::size_t column = 0;; ++column) {
    if (column == columns_.size()) return fail_too_wide(column, list);
    if (!read_cell(column)) return false;
    const Next behind = Format::next_item(cursor, list);
    if (behind == Next::kItem) continue;
    if (behind == Next::kBroken) return false;
    return column + 1 == columns_.size() || fail_width(column + 1);
  }
}

template <class Format>
bool TableReader<Format>::read_object_row(Frame& object) {
  Cursor& cursor = context_.cursor;
  if (!Format::has_member(cursor, object)) return fill_missing_columns();
  for (std::size_t position = 0;; ++position) {
    if (!read_member(position)) return false;
    const Next behind = Format::next_member(cursor, object);
    if (behind == Next::kItem) continue;
    if (behind == Next::kBroken) return false;
    // No key is unknown or doubled, so a row with enough of them has them all.
    return position + 1 == columns_.size() || fill_missing_columns();
  }
}

template <class Format>
bool TableReader<Format>::fill_missing_columns() {
  for (Column& column : columns_) {
    if (column.last_row == row_) continue;
    if (!column.is_ignored) return fail_missing_column();
    std::memset(column.base + static_cast<std::size_t>(row_) * column.stride, 0,
                dtype_size(column.dtype));  // zero in every type of numbers
  }
  return true;
}

// One "key": value of an object row.
template <class Format>
bool TableReader<Format>::read_member(std::size_t position) {
  Cursor& cursor = context_.cursor;
  std::string_view key;
  if (!Format::read_key(cursor, key_scratch_, key)) return false;
  const std::size_t column = names_.find(key, position);
  if (column == NameIndex::kNone) {
    return context_.fail(row_name() + ": unknown column " + quoted(key));
  }
  if (columns_[column].last_row == row_) {
    return context_.fail(row_name() + ": column " + quoted(key) + " appears twice");
  }
  columns_[column].last_row = row_;
  return Format::open_value(cursor) && read_cell(column);
}

template <class Format>
bool TableReader<Format>::read_cell(std::size_t column) {
  const Column& target = columns_[column];
  void* const element = target.base + static_cast<std::size_t>(row_) * target.stride;
  const Fault fault = target.read(context_.cursor, element, context_.cells);
  return fault == Fault::kNone || fail_cell(column, fault);
}

// Makes room for at least one row more: twice as many, or as many as the rest of the document would
// hold if its rows went on like this, never more than it can hold at all.
template <class Format>
bool TableReader<Format>::grow() {
  const auto width = static_cast<std::int64_t>(std::max<std::size_t>(columns_.size(), 1));
  const std::int64_t most = std::min(context_.limits.max_rows, context_.elements_left / width);
  if (row_ >= most) {
    return row_ >= context_.limits.max_rows ? context_.fail_rows("data") : context_.fail_elements();
  }
  const auto left = static_cast<std::int64_t>(context_.cursor.left());
  std::int64_t rows = 1;
  if (row_ > 0) {
    const std::int64_t bytes_per_row = (context_.cursor.next - begin_) / row_;
    rows = std::max(2 * row_, row_ + left / std::max<std::int64_t>(bytes_per_row, 1) + 2);
    rows = std::min({rows, row_ + left / (Format::kLeastBytes * width) + 1, most});
  }
  for (TensorBuffer& buffer : buffers_) {
    const std::int64_t factor = is_matrix() ? width : 1;
    buffer.reserve(row_ * factor, rows * factor);
  }
  capacity_ = rows;
  place_columns();
  return true;
}

template <class Format>
void TableReader<Format>::place_columns() noexcept {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::size_t size = dtype_size(columns_[i].dtype);
    columns_[i].base = is_matrix() ? buffers_[0].data() + i * size : buffers_[i].data();
    columns_[i].stride = is_matrix() ? columns_.size() * size : size;
  }
}

template class TableReader<Json>;
template class TableReader<Msgpack>;

}  // namespace slipstream::wire
