#include "core/staging/rows.h"

#include <algorithm>
#include <cstring>

namespace slipstream {
namespace {

// Copies all of `source` into `target`, from its row `first_row` on.
void copy_rows(Tensor& target, std::int64_t first_row, const Tensor& source) {
  const auto row_elements = static_cast<std::size_t>(target.shape().elements_per_row());
  const std::size_t offset = static_cast<std::size_t>(first_row) * row_elements;
  if (target.dtype() == DType::kString) {
    const auto strings = source.strings();
    std::ranges::copy(strings, target.strings().subspan(offset).begin());
  } else if (source.bytes() != 0) {
    std::memcpy(target.data() + offset * dtype_size(target.dtype()), source.data(), source.bytes());
  }
}

}  // namespace

Tensor gather_rows(const Batch& batch, std::size_t input, std::pmr::memory_resource* memory) {
  const BatchPart& first = batch.parts.front();
  const Tensor& model = first.request->inputs[input];
  if (batch.parts.size() == 1) {
    return first.is_whole() ? model : model.slice_rows(first.begin_row, first.end_row);
  }
  Tensor gathered = Tensor::allocate(model.dtype(), model.shape().with_rows(batch.rows), memory);
  std::int64_t row = 0;
  for (const BatchPart& part : batch.parts) {
    const Tensor& source = part.request->inputs[input];
    copy_rows(gathered, row,
              part.is_whole() ? source : source.slice_rows(part.begin_row, part.end_row));
    row += part.rows();
  }
  return gathered;
}

Tensor concat_rows(std::span<const Tensor> pieces, std::pmr::memory_resource* memory) {
  std::int64_t rows = 0;
  for (const Tensor& piece : pieces) rows += piece.rows();
  const Tensor& model = pieces.front();
  Tensor whole = Tensor::allocate(model.dtype(), model.shape().with_rows(rows), memory);
  std::int64_t row = 0;
  for (const Tensor& piece : pieces) {
    copy_rows(whole, row, piece);
    row += piece.rows();
  }
  return whole;
}

}  // namespace slipstream
