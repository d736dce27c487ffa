// The loops over raw tensors: elements of one dtype into those of another, and the search for one
// that a model does not take. Bytes need no alignment. Threads: any; nothing throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"
#include "wire/fault.h"

namespace slipstream::wire {

// Where a loop stopped; -1: nowhere.
struct Stop {
  std::int64_t element = -1;
  Fault fault = Fault::kNone;
};

// `from` and `to` step by their strides, counted in elements.
struct RawRun {
  const char* from;
  std::size_t from_stride;
  std::byte* to;
  std::size_t to_stride;
  std::int64_t count;
  bool accepts_missing;
};

// Converts as wire/decode.h says. Neither dtype is kString; kBool bytes other than 0 and 1 are
// kWrongKind.
[[nodiscard]] Stop convert_raw(DType from, DType to, const RawRun& run) noexcept;

// The first element that is no bool, or that is NaN or infinite; only kBool and floating point.
[[nodiscard]] Stop first_unfit(DType dtype, std::string_view bytes) noexcept;

// The number at `bytes` in words. Throws std::bad_alloc.
[[nodiscard]] std::string raw_number_text(DType dtype, const char* bytes);

}  // namespace slipstream::wire
