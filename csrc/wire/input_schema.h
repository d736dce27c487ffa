// InputSchema: what the `data` of a request, in any format, must look like for one model, and the
// bounds every request must keep. Built once when a model is loaded, then only read, by any number
// of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/backend.h"

namespace slipstream {

// How JSON becomes input tensors (manifest.py names the same three).
enum class Layout : std::uint8_t {
  kMatrix,   // one input; data is a list of rows, a row a list of values or {column: value}
  kColumns,  // one [rows, 1] (or [rows]) input per column, each with its own dtype
  kTensors,  // the model's own inputs by name, as nested lists of any rank
};

struct InputSchema {
  Layout layout = Layout::kTensors;
  std::vector<TensorSpec> inputs;  // in model order
  // kMatrix: empty (rows are lists only) or one name per column of a rank-2 input.
  // kColumns: one per input; empty means the inputs' own names.
  std::vector<std::string> column_names;
  // Whether null is legal in floating-point columns (it becomes NaN) and in string columns (it
  // becomes kMissingString).
  bool accepts_missing = true;
  // kMatrix and kColumns: columns of numbers that the model drops. Anything may stand there, and
  // rows that are objects may leave them out; they become 0.
  // NOLINTNEXTLINE(readability-redundant-member-init): lists of initializers may leave it out
  std::vector<std::size_t> ignored{};
  // Where a list of numbers is due, of a type that holds every byte, a string stands for its UTF-8
  // bytes. Lists of a table (kColumns, or rows by column names) are not meant.
  bool takes_text = false;

  // kMatrix: values per row, the product of the inner dimensions (1 for rank 1). -1 when one of
  // them is dynamic, when the product does not fit, and for the other layouts.
  [[nodiscard]] std::int64_t matrix_width() const noexcept;
};

// What one request may ask for at most. Exceeding max_depth is kMalformed, the others
// kInvalidArgument.
struct DecodeLimits {
  std::size_t max_depth = 64;                         // lists and objects inside each other
  std::int64_t max_rows = 1'000'000;                  // first dimension of any input
  std::int64_t max_elements = std::int64_t{1} << 28;  // of all inputs of the request together
};

}  // namespace slipstream
