// read_plain_envelope: the body of a prediction as nearly every client writes it.
//
//   {"model_id": "iris", "data": [[5.1, 3.5]], "return_probabilities": true, "timeout_ms": 50}
//
// Only this plain form is read here, without looking at the rows; whatever departs from it (unknown
// or repeated keys, escapes, a value of another kind, a syntax error) is left to the general
// reader, which also says what is wrong. So the answer "no" is always safe, and "yes" means that
// the general reader would have found the same values.
//
// Threads: any. Nothing allocates; nothing throws.
#pragma once

#include <cstdint>
#include <string_view>

namespace slipstream::wire {

struct PlainEnvelope {
  std::string_view model_id;  // printable ASCII, as it stands in the body; never empty
  std::string_view data;      // bytes of one list or object; only its brackets have been looked at
  std::string_view priority;  // empty: not given
  double timeout_ms = 0;      // above 0; 0: not given
  std::int64_t batch_size = 0;  // above 0; 0: not given
  bool wants_probabilities = false;
};

// False: not the plain form. The views point into `body`.
[[nodiscard]] bool read_plain_envelope(std::string_view body, PlainEnvelope& envelope) noexcept;

}  // namespace slipstream::wire
