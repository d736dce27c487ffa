// TableReader's messages: what is wrong, and where. Only table.cc includes this.
#pragma once

#include <string>

#include "wire/message.h"
#include "wire/table.h"

namespace slipstream::wire {

template <class Format>
std::string TableReader<Format>::row_name() const {
  return "row " + std::to_string(row_);
}

template <class Format>
bool TableReader<Format>::fail_not_rows() {
  const ValueKind kind = Format::kind(context_.cursor);
  if (kind == ValueKind::kNone) return false;
  if (kind == ValueKind::kObject) {
    return context_.fail("data must be a list of rows, got an object; wrap it: [{...}]");
  }
  return context_.fail("data must be a list of rows, got " + std::string(words_for(kind)));
}

template <class Format>
bool TableReader<Format>::fail_row_kind() {
  const ValueKind kind = Format::kind(context_.cursor);
  if (kind == ValueKind::kNone) return false;
  const std::string got(words_for(kind));
  if (kind != ValueKind::kList && kind != ValueKind::kObject) {
    if (row_ == 0) {
      return context_.fail("data must be a list of rows; wrap it: [[...]] (row 0 is " + got + ")");
    }
    return context_.fail(row_name() + ": expected a list or an object, got " + got);
  }
  return context_.fail(row_name() + " is " + got + ", but row 0 is " +
                       (rows_are_objects_ ? "an object" : "a list") +
                       ": give every row the same form");
}

template <class Format>
bool TableReader<Format>::fail_width(std::size_t count) {
  const std::string got = std::to_string(count);
  const auto expected = static_cast<std::int64_t>(columns_.size());
  if (row_ == 0) {
    return context_.fail("row 0: expected " + counted(expected, "column") + ", got " + got);
  }
  return context_.fail(row_name() + " has " + counted(static_cast<std::int64_t>(count), "value") +
                       ", expected " + std::to_string(expected));
}

// A row goes on behind its last column: counts what is there to name the real width.
template <class Format>
bool TableReader<Format>::fail_too_wide(std::size_t read, Frame& list) {
  for (std::size_t count = read;;) {
    if (!Format::skip(context_.cursor, context_.limits.max_depth - 2)) return false;
    ++count;
    const Next behind = Format::next_item(context_.cursor, list);
    if (behind == Next::kItem) continue;
    return behind == Next::kEnd && fail_width(count);
  }
}

template <class Format>
bool TableReader<Format>::fail_cell(std::size_t column, Fault fault) {
  if (fault == Fault::kSyntax) return false;
  return context_.fail(row_name() + ", column " + quoted(names_.name(column)) + ": " +
                       describe_fault<Format>(fault, columns_[column].dtype, context_.cursor));
}

template <class Format>
bool TableReader<Format>::fail_missing_column() {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].last_row != row_ && !columns_[i].is_ignored) {
      return context_.fail(row_name() + ": column " + quoted(names_.name(i)) + " is missing");
    }
  }
  return false;
}

}  // namespace slipstream::wire
