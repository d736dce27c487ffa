// Matrix: rows to predict, read from raw little-endian files in both element types.
//
// The float32 file holds the float64 file's values rounded, so that every rival gets the rows in
// the type it takes without converting them in the time that is measured.
// Threads: reading from any. Ownership: maps the files until destroyed. Failure: BenchError.
#pragma once

#include <cstddef>
#include <string>

#include "rival.h"

namespace slipstream::bench {

class Matrix {
 public:
  // Files of `rows` × `columns` elements each.
  Matrix(const std::string& float64_file, const std::string& float32_file, std::size_t rows,
         std::size_t columns);
  ~Matrix();
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
  // The row `first` and those after it, in that type.
  [[nodiscard]] const void* from(std::size_t first, Element element) const noexcept;

 private:
  struct Mapping {
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  [[nodiscard]] static Mapping map(const std::string& file, std::size_t bytes);

  std::size_t rows_;
  std::size_t columns_;
  Mapping float64_;
  Mapping float32_;
};

}  // namespace slipstream::bench
