// Floating-point numbers as text: the shortest that reads back as the same value, the nearest to it
// if there are several, as std::to_chars writes it, in half of its time.
//
// The digits are found with three multiplications by a power of ten (Schubfach, Giulietti 2020).
// What is 2^53 or more (2^24 for float), or so small that the power has more than 128 bits, is left
// to std::to_chars. Threads: any; nothing throws.
#pragma once

#include <cstddef>

namespace slipstream::wire {

inline constexpr std::size_t kShortestRoom = 64;  // that must be there, more than any number takes

// Writes a finite number to `out`, with a '.' or an 'e' in it ("3.0"); returns the end.
[[nodiscard]] char* write_shortest(double value, char* out) noexcept;
[[nodiscard]] char* write_shortest(float value, char* out) noexcept;

}  // namespace slipstream::wire
