// Fault: why a value could not be read, as small as a hot loop needs it. The loops return one of
// these and a position; the words are found afterwards, off the hot path (message.h for a value
// that is wrong for the model, skip.h for bytes that are not JSON).
#pragma once

#include <cstdint>

namespace slipstream::wire {

enum class Fault : std::uint8_t {
  kNone,
  kSyntax,        // not of the format at this place
  kBeyondDouble,  // 1e999: well-formed, yet no double; refused as if it were not JSON
  kWrongKind,     // another kind of value than the dtype takes
  kNull,          // null where the dtype or the model takes none
  kNotIntegral,   // 1.5 for an integer
  kBeyondType,    // 300 for an int8, 1e300 for a float32
  kNotFinite,     // NaN or infinite where the model takes no missing values; never in JSON
};

// Where reading stopped, and why. On success `next` is the first byte behind the value; otherwise
// it is the first byte of the value.
struct Parsed {
  const char* next;
  Fault fault;
};

}  // namespace slipstream::wire
