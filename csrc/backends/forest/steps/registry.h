// The ops of a forest program: their codes, their names and who makes a step of each.
//
// Threads: any (a constant table). Failure: a factory's Status says what is wrong with the step,
// not which step it is; the caller knows that.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/forest/steps/step_spec.h"

namespace slipstream::forest {

enum class Op : std::uint32_t {
  kTrees = 1,
  kConcat = 2,
  kTakeColumns = 3,
  kCast = 4,
  kAdd = 8,
  kSubtract = 9,
  kMultiply = 10,
  kDivide = 11,
  kClip = 12,
  kFunction = 13,
  kSigmoid = 14,
  kSoftmax = 15,
  kNormalize = 16,
  kComplement = 17,
  kMatmul = 18,
  kSumColumns = 19,
  kWeightedMedian = 20,
  kInterpolate = 21,
  kIsMissing = 24,
  kReplaceMissing = 25,
  kLookupNumber = 26,
  kLookupText = 27,
  kOneHot = 28,
  kDigitize = 29,
  kRefuse = 30,
  kRefuseCells = 31,
  kArgmax = 32,
  kGreater = 33,
  kLabelNumber = 34,
  kLabelText = 35,
};

struct OpEntry {
  Op op;
  std::string_view name;
  StepResult (*make)(const StepSpec&);
};

// Null for a code that is no op.
[[nodiscard]] const OpEntry* find_op(std::uint32_t code) noexcept;

}  // namespace slipstream::forest
