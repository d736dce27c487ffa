// NestedReader's messages: what is wrong, and where.
#include "wire/message.h"
#include "wire/nested.h"
#include "wire/skip.h"

namespace slipstream::wire {

std::string NestedReader::place(std::size_t depth) const {
  std::string text;
  std::size_t axis = 0;
  if (role_ == Role::kTensor) {
    text = "input " + quoted(spec_.name);
  } else if (depth == 0) {
    text = "data";
  } else {
    text = "row " + std::to_string(index_[axis++]);
    if (depth == 2 && dims_.rank() == 2) {
      const auto& names = context_.schema.column_names;
      const auto column = static_cast<std::size_t>(index_[1]);
      text += ", column ";
      text += column < names.size() ? quoted(names[column]) : std::to_string(column);
      return text;
    }
  }
  for (const char* separator = " at ["; axis < depth; ++axis, separator = "[") {
    text += separator + std::to_string(index_[axis]) + "]";
  }
  return text;
}

bool NestedReader::fail_not_list(std::size_t axis) {
  const Fault fault = fault_of_other_kind(context_.cursor);
  if (fault == Fault::kSyntax) return false;
  const std::string got(kind_of_value(context_.cursor));
  if (role_ == Role::kRows && axis == 0) {
    if (got == "an object" && !context_.schema.column_names.empty()) {
      return context_.fail("data must be a list of rows, got an object; wrap it: [{...}]");
    }
    return context_.fail("data must be a list of " +
                         std::string(dims_.rank() == 1 ? "values" : "rows") + ", got " + got);
  }
  if (role_ == Role::kRows && axis == 1 && got == "an object") {
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

bool NestedReader::fail_cell(Fault fault, std::int64_t position) {
  if (fault == Fault::kSyntax) return false;
  const std::size_t rank = dims_.rank();
  if (rank > 0) index_.set_dim(rank - 1, position);
  return context_.fail(place(rank) + ": " + describe_fault(fault, spec_.dtype, context_.cursor));
}

bool NestedReader::fail_empty(std::size_t axis) {
  if (role_ == Role::kRows && axis == 0) return context_.fail("data has no rows");
  return context_.fail(place(axis) + (axis == 0 ? " has no rows" : " is empty"));
}

bool NestedReader::fail_size(std::size_t axis, std::int64_t count) {
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
bool NestedReader::fail_too_long(std::size_t axis, std::int64_t read) {
  const std::size_t depth = context_.limits.max_depth - depth_ - axis - 1;
  std::int64_t count = read;
  for (;;) {
    if (skip_value(context_.cursor, depth) != nullptr) return false;
    ++count;
    skip_space(context_.cursor);
    if (take(context_.cursor, ',')) continue;
    if (!take(context_.cursor, ']')) return false;
    return fail_size(axis, count);
  }
}

bool NestedReader::fail_rows() {
  return context_.fail(place(0) + " has more than " + counted(context_.limits.max_rows, "row") +
                       ", the most that one request may have; send several requests");
}

bool NestedReader::fail_elements() {
  return context_.fail("data has more than " + counted(context_.limits.max_elements, "value") +
                       ", the most that one request may have; send several requests");
}

}  // namespace slipstream::wire
