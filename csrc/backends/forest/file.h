// ForestFile: the parts of a forest file (docs/forest-format.md), every offset and size checked.
//
// It knows nothing of what the program and the arrays mean; program.h does.
// Threads: any; nothing changes after parse. Ownership: refers to the bytes it was parsed from,
// which outlive it and everything made of it. Failure: kInvalidArgument says which part of the file
// is wrong. Memory: 24 bytes an array; never more than the file's own size promises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"

namespace slipstream::forest {

// One array of the file, as numbers of `dtype`, aligned to 64 bytes. Never kString.
struct FileArray {
  DType dtype = DType::kUint8;
  const std::byte* data = nullptr;
  std::size_t count = 0;

  [[nodiscard]] const std::byte* end() const noexcept { return data + count * dtype_size(dtype); }
  // Precondition: T is what `dtype` stores.
  template <class T>
  [[nodiscard]] std::span<const T> as() const noexcept {
    return {reinterpret_cast<const T*>(data), count};
  }
};

struct ForestFile {
  std::span<const std::byte> program;
  std::vector<FileArray> arrays;
  std::uint32_t steps = 0;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;

  // Throws std::bad_alloc. `bytes` begin at an address that is a multiple of 64.
  [[nodiscard]] static Result<ForestFile> parse(std::span<const std::byte> bytes);
};

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kHeaderBytes = 64;
inline constexpr std::size_t kArrayAlignment = 64;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;
inline constexpr std::uint32_t kMaxSteps = 1U << 16;
inline constexpr std::uint32_t kMaxInputs = 4096;  // a table has one a column
inline constexpr std::uint32_t kMaxEnds = 64;      // outputs: as many as Execution can name

}  // namespace slipstream::forest
