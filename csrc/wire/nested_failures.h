// NestedReader's messages: what is wrong, and where. Only nested.cc includes this.
#pragma once

#include <string>

#include "wire/message.h"
#include "wire/nested.h"

namespace slipstream::wire {

template <class Format>
bool NestedReader<Format>::fail_not_list(std::size_t axis) {
  const ValueKind kind = Format::kind(context_.cursor);
  if (kind == ValueKind::kNone) return false;
  const bool is_object = kind == ValueKind::kObject;
  const std::string got(words_for(kind));
  if (role_ == Role::kRows && axis == 0) {
    if (is_object && !context_.schema.column_names.empty()) {
      return context_.fail("data must be a list of rows, got an object; wrap it: [{...}]");
    }
    return context_.fail("data must be a list of " +
                         std::string(dims_.rank() == 1 ? "values" : "rows") + ", got " + got);
  }
  if (role_ == Role::kRows && axis == 1 && is_object) {
    if (context_.schema.column_names.empty()) {
      return context_.fail(place(1) +
                           " is an object, but this model's columns have no names: "
                           "give each row as a list of values");
    }
    return context_.fail(place(1) +
                         " is an object, but row 0 is a list: give every row the same "
                         "form");
  }
  if (role_ == Role::kRows && axis == 1 && index_[0] == 0) {
    return context_.fail("data must be a list of rows; wrap it: [[...]] (row 0 is " + got + ")");
  }
  return context_.fail(place(axis) + ": expected a list, got " + got + " (the input has " +
                       counted(static_cast<std::int64_t>(dims_.rank()), "dimension") + ")");
}

template <class Format>
bool NestedReader<Format>::fail_cell(Fault fault, std::int64_t position) {
  if (fault == Fault::kSyntax) return false;
  const std::size_t rank = dims_.rank();
  if (rank > 0) index_.set_dim(rank - 1, position);
  return context_.fail(place(rank) + ": " +
                       describe_fault<Format>(fault, spec_.dtype, context_.cursor));
}

template <class Format>
bool NestedReader<Format>::fail_empty(std::size_t axis) {
  if (role_ == Role::kRows && axis == 0) return context_.fail("data has no rows");
  return context_.fail(place(axis) + (axis == 0 ? " has no rows" : " is empty"));
}

template <class Format>
bool NestedReader<Format>::fail_size(std::size_t axis, std::int64_t count) {
  const std::int64_t expected = dims_[axis];
  if (axis == 0) {
    if (count == 0) return fail_empty(axis);
    return context_.fail(place(0) + " has " + counted(count, "row") + ", expected " +
                         std::to_string(expected));
  }
  if (role_ == Role::kRows && dims_.rank() == 2 && index_[0] == 0) {
    return context_.fail("row 0: expected " + counted(expected, "column") + ", got " +
                         std::to_string(count));
  }
  return context_.fail(place(axis) + " has " + counted(count, "value") + ", expected " +
                       std::to_string(expected));
}

// A list goes on behind its last allowed element: counts what is there to name the real size.
template <class Format>
bool NestedReader<Format>::fail_too_long(std::size_t axis, std::int64_t read, Frame& list) {
  const std::size_t depth = context_.limits.max_depth - depth_ - axis - 1;
  std::int64_t count = read;
  for (;;) {
    if (!Format::skip(context_.cursor, depth)) return false;
    ++count;
    const Next behind = Format::next_item(context_.cursor, list);
    if (behind == Next::kItem) continue;
    return behind == Next::kEnd && fail_size(axis, count);
  }
}

template <class Format>
bool NestedReader<Format>::fail_rows() {
  return context_.fail_rows(place(0));
}

template <class Format>
bool NestedReader<Format>::fail_elements() {
  return context_.fail_elements();
}

}  // namespace slipstream::wire
