// How far apart two hot variables of different threads must lie.
#pragma once

#include <cstddef>

namespace slipstream {

// Two 64-byte lines, not one: x86 prefetchers fetch lines in aligned pairs, so that neighbours
// still disturb each other, and several ARM cores have lines of 128 bytes. A constant of our own
// because std::hardware_destructive_interference_size changes with compiler flags, and layouts must
// not.
inline constexpr std::size_t kFalseSharingBytes = 128;

}  // namespace slipstream
