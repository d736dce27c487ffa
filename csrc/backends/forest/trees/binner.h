// Binner: turns rows into planes (planes.h) by the kernels of this processor.
//
// Threads: any, each with memory of its own. Ownership: copies what it needs of the planes, refers
// to the ensemble for category sets. Failure: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/forest/trees/aligned.h"
#include "backends/forest/trees/buckets.h"
#include "backends/forest/trees/ensemble.h"
#include "backends/forest/trees/kernels.h"
#include "backends/forest/trees/planes.h"

namespace slipstream::forest {

class Binner {
 public:
  // `planes` outlives the binner. Throws std::bad_alloc.
  Binner(const Ensemble& trees, const Planes& planes, const Kernels& kernels);

  [[nodiscard]] std::size_t planes() const noexcept { return planes_.count; }
  // Floats that each of the calls below needs as `memory` (64-byte aligned).
  [[nodiscard]] std::size_t memory_floats() const noexcept { return bin_scratch(task_.features); }

  // The least stride of rows of these, in elements: room for one more plane, and whole registers of
  // bytes.
  template <class T>
  [[nodiscard]] std::size_t row_stride() const noexcept {
    const std::size_t planes = std::size_t{planes_.count} + 1;
    return sizeof(T) == 1 ? (planes + 63) / 64 * 64 : planes;
  }

  // out[row * stride + plane], bins or keys; a stride of bytes is a multiple of 64.
  void rows(const RowsView& x, std::size_t rows, std::uint8_t* out, std::size_t stride,
            float* memory) const noexcept;
  void rows(const RowsView& x, std::size_t rows, std::uint16_t* out, std::size_t stride,
            float* memory) const noexcept;
  void rows(const RowsView& x, std::size_t rows, float* out, std::size_t stride,
            float* memory) const noexcept;

  // out[plane * block_rows + row] for at most block_rows rows, and room for one more plane.
  void block(const RowsView& x, std::size_t rows, std::uint8_t* out, float* memory) const noexcept;
  void block(const RowsView& x, std::size_t rows, std::uint16_t* out, float* memory) const noexcept;

 private:
  template <class T>
  void fill_sets(const RowsView& x, std::size_t rows, T* out, std::size_t row_stride,
                 std::size_t plane_stride) const noexcept;
  struct Category;
  [[nodiscard]] Category category_of(const RowsView& x, std::size_t row,
                                     std::uint32_t feature) const noexcept;
  [[nodiscard]] bool goes_left(const SetPlane& plane, const Category& category) const noexcept;

  const Ensemble& trees_;
  const Planes& planes_;
  const Kernels& kernels_;
  std::vector<BinColumn> columns_;
  std::vector<std::uint16_t> as_zero_;
  std::vector<std::uint16_t> zero_too_;
  AlignedVector<float> heaps_;
  std::optional<Buckets> buckets_;
  BinTask task_;
};

}  // namespace slipstream::forest
