// Columns: one output of a member's answer as rows of float64 numbers, whatever it was.
//
// Members answer in their own ways: float32 or float64, [rows] or [rows, 1], class places or class
// labels. Ensembles compute with numbers, so this is the one place that knows those ways.
// Threads: any number at once. Failure: kInvalidArgument, saying what the member answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace slipstream {

// Which output of a member is read, and how.
struct ColumnReader {
  std::string member;  // its name, for messages
  std::size_t output = 0;
  std::size_t width = 1;  // numbers a row that it must have
  std::size_t skip = 0;   // of these, left out in front; less than width
  // Labels in class order, of an output that holds labels: the number is a label's place. Text for
  // an output of strings, whole numbers for any other. None: the numbers as they are.
  // NOLINTBEGIN(readability-redundant-member-init): gcc warns of designated initializers otherwise.
  std::vector<std::int64_t> whole_labels = {};
  std::vector<std::string> text_labels = {};
  // NOLINTEND(readability-redundant-member-init)

  [[nodiscard]] std::size_t columns() const noexcept { return width - skip; }
};

struct Columns {
  std::int64_t rows = 0;
  std::vector<double> values;  // row by row
};

[[nodiscard]] Result<Columns> read_columns(const ColumnReader& reader,
                                           std::span<const Tensor> answer);

// One a member, in the order of the readers. Failure also where they differ in rows.
[[nodiscard]] Result<std::vector<Columns>> read_all(std::span<const ColumnReader> readers,
                                                    std::span<const std::vector<Tensor>> answers);

}  // namespace slipstream
