// The quick way through a list of numbers: plain ones, "-12.345", with a comma between them and
// at most one space behind it, which is how programs write rows. One load of 32 bytes finds where a
// number begins and ends and turns its digits into an integer, whatever their count, without a
// branch to mispredict.
//
// It reads nothing that parse_double would read otherwise, and leaves whatever is not plain to it:
// exponents, more than 19 digits, spaces, null, what is no number at all. Needs AVX-512 VBMI, asked
// for at run time; without it, every number is left to parse_double. Threads: any.
#pragma once

#include <cstdint>

namespace slipstream::wire {

// Where a run over many numbers stopped.
enum class PlainEnd : std::uint8_t {
  kValue,   // in front of a value for parse_double
  kFull,    // there is no room for the value at the cursor
  kClosed,  // behind the list
};

template <class T>
struct PlainRun {
  const char* at;  // the value that was not read, or behind the list
  T* next;         // behind the last element written
  bool is_closed;  // the list's ']' has been read
};

// Whether this machine can; without, read_plain reads nothing.
[[nodiscard]] bool can_read_plain() noexcept;

// Reads into [next, limit) from `at` on, the first byte of a value of a list.
[[nodiscard]] PlainRun<double> read_plain(const char* at, const char* end, double* next,
                                          double* limit) noexcept;
[[nodiscard]] PlainRun<float> read_plain(const char* at, const char* end, float* next,
                                         float* limit) noexcept;

}  // namespace slipstream::wire
