// Loops that many steps share: plain functions over rows, inlined into each step's own.
//
// Threads: any. Failure: none.
#pragma once

#include <cstddef>

#include "backends/forest/value.h"

namespace slipstream::forest {

// out[i] = f(x[i]) for every element of `width` columns; one flat loop where rows lie side by side.
template <class From, class To, class F>
void map_elements(const Columns& x, std::size_t rows, std::size_t width, To* out, const F& f) {
  if (x.stride == width) {
    const From* const from = x.row<From>(0);
    for (std::size_t i = 0; i < rows * width; ++i) out[i] = f(from[i]);
    return;
  }
  for (std::size_t row = 0; row < rows; ++row) {
    const From* const from = x.row<From>(row);
    for (std::size_t column = 0; column < width; ++column) out[column] = f(from[column]);
    out += width;
  }
}

// out[row, column] = f(x[row, column], column).
template <class T, class F>
void map_columns(const Columns& x, std::size_t rows, std::size_t width, T* out, F f) {
  for (std::size_t row = 0; row < rows; ++row) {
    const T* const from = x.row<T>(row);
    for (std::size_t column = 0; column < width; ++column) out[column] = f(from[column], column);
    out += width;
  }
}

// f(one row of x, one row of out), for steps that look at a row as a whole.
template <class From, class To, class F>
void map_rows(const Columns& x, std::size_t rows, std::size_t out_width, To* out, const F& f) {
  for (std::size_t row = 0; row < rows; ++row) f(x.row<From>(row), out + row * out_width);
}

}  // namespace slipstream::forest
