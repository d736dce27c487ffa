// EchoOptions: what an echo model looks like and how it misbehaves.
//
//   dtype       element type of every tensor, NumPy's name ("float32" by default)
//   width       shape of one row: "4" (the default), "3x8"; empty for one bare value a row
//   inputs      how many inputs, and as many outputs, 1 to 64 (default 1)
//   batchable   "true" (default) or "false": whether rows of several requests may share a call
//   delay_us    how long each execute sleeps, in microseconds (default 0)
//   fail_every  every n-th execute of the model fails; 0, the default, is never
//   fail_value  an execute fails that holds a row whose first element equals this: a poisoned
//               request. Not for float16 and bfloat16
//
// Plain data, immutable once parsed. Errors name the option and what it may be.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/backend.h"

namespace slipstream::echo {

// The first element of a row that makes an execute fail.
class PoisonValue {
 public:
  // nullopt when `text` is not a value of `dtype`.
  [[nodiscard]] static std::optional<PoisonValue> parse(DType dtype, const std::string& text);

  // The first poisoned row of a tensor of that dtype; nullopt when there is none.
  [[nodiscard]] std::optional<std::int64_t> find_row(const Tensor& tensor) const;

 private:
  std::string text_;               // what a string tensor would hold
  std::vector<std::byte> stored_;  // what any other tensor would hold
};

struct EchoOptions {
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> row_shape{4};
  std::int64_t inputs = 1;
  bool batchable = true;
  std::chrono::microseconds delay{0};
  std::int64_t fail_every = 0;
  std::optional<PoisonValue> fail_value;

  [[nodiscard]] static Result<EchoOptions> parse(const ModelConfig& config);
};

}  // namespace slipstream::echo
