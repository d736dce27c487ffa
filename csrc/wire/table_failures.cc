// TableReader's messages: what is wrong, and where.
#include "wire/message.h"
#include "wire/skip.h"
#include "wire/table.h"

namespace slipstream::wire {

std::string TableReader::row_name() const {
  return "row " + std::to_string(row_);
}

bool TableReader::fail_not_rows() {
  if (fault_of_other_kind(context_.cursor) == Fault::kSyntax) return false;
  if (context_.cursor.peek() == '{') {
    return context_.fail("data must be a list of rows, got an object; wrap it: [{...}]");
  }
  return context_.fail("data must be a list of rows, got " +
                       std::string(kind_of_value(context_.cursor)));
}

bool TableReader::fail_row_kind() {
  if (fault_of_other_kind(context_.cursor) == Fault::kSyntax) return false;
  const std::string got(kind_of_value(context_.cursor));
  if (got != "a list" && got != "an object") {
    if (row_ == 0) {
      return context_.fail("data must be a list of rows; wrap it: [[...]] (row 0 is " + got + ")");
    }
    return context_.fail(row_name() + ": expected a list or an object, got " + got);
  }
  return context_.fail(row_name() + " is " + got + ", but row 0 is " +
                       (rows_are_objects_ ? "an object" : "a list") +
                       ": give every row the same form");
}

bool TableReader::fail_width(std::size_t count) {
  const std::string got = std::to_string(count);
  const auto expected = static_cast<std::int64_t>(columns_.size());
  if (row_ == 0) {
    return context_.fail("row 0: expected " + counted(expected, "column") + ", got " + got);
  }
  return context_.fail(row_name() + " has " + counted(static_cast<std::int64_t>(count), "value") +
                       ", expected " + std::to_string(expected));
}

// A row goes on behind its last column: counts what is there to name the real width.
bool TableReader::fail_too_wide(std::size_t read) {
  for (std::size_t count = read;;) {
    if (skip_value(context_.cursor, context_.limits.max_depth - 2) != nullptr) return false;
    ++count;
    skip_space(context_.cursor);
    if (take(context_.cursor, ',')) continue;
    if (!take(context_.cursor, ']')) return false;
    return fail_width(count);
  }
}

bool TableReader::fail_cell(std::size_t column, Fault fault) {
  if (fault == Fault::kSyntax) return false;
  return context_.fail(row_name() + ", column " + quoted(names_.name(column)) + ": " +
                       describe_fault(fault, columns_[column].dtype, context_.cursor));
}

bool TableReader::fail_missing_column() {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].last_row != row_ && !columns_[i].is_ignored) {
      return context_.fail(row_name() + ": column " + quoted(names_.name(i)) + " is missing");
    }
  }
  return false;
}

bool TableReader::fail_row_count() {
  return context_.fail("data has more than " + counted(context_.limits.max_rows, "row") +
                       ", the most that one request may have; send several requests");
}

bool TableReader::fail_elements() {
  return context_.fail("data has more than " + counted(context_.limits.max_elements, "value") +
                       ", the most that one request may have; send several requests");
}

}  // namespace slipstream::wire
