#include "backends/forest/steps/registry.h"

#include <algorithm>

#include "backends/forest/steps/factories.h"

namespace slipstream::forest {
namespace {

constexpr OpEntry kOps[] = {
    {Op::kTrees, "trees", make_trees},
    {Op::kConcat, "concat", make_concat},
    {Op::kTakeColumns, "take_columns", make_take_columns},
    {Op::kCast, "cast", make_cast},
    {Op::kAdd, "add", make_add},
    {Op::kSubtract, "subtract", make_subtract},
    {Op::kMultiply, "multiply", make_multiply},
    {Op::kDivide, "divide", make_divide},
    {Op::kClip, "clip", make_clip},
    {Op::kFunction, "function", make_function},
    {Op::kSigmoid, "sigmoid", make_sigmoid},
    {Op::kSoftmax, "softmax", make_softmax},
    {Op::kNormalize, "normalize", make_normalize},
    {Op::kComplement, "complement", make_complement},
    {Op::kMatmul, "matmul", make_matmul},
    {Op::kSumColumns, "sum_columns", make_sum_columns},
    {Op::kWeightedMedian, "weighted_median", make_weighted_median},
    {Op::kInterpolate, "interpolate", make_interpolate},
    {Op::kIsMissing, "is_missing", make_is_missing},
    {Op::kReplaceMissing, "replace_missing", make_replace_missing},
    {Op::kLookupNumber, "lookup_number", make_lookup_number},
    {Op::kLookupText, "lookup_text", make_lookup_text},
    {Op::kOneHot, "one_hot", make_one_hot},
    {Op::kDigitize, "digitize", make_digitize},
    {Op::kRefuse, "refuse", make_refuse},
    {Op::kRefuseCells, "refuse_cells", make_refuse_cells},
    {Op::kArgmax, "argmax", make_argmax},
    {Op::kGreater, "greater", make_greater},
    {Op::kLabelNumber, "label_number", make_label_number},
    {Op::kLabelText, "label_text", make_label_text},
};

}  // namespace

const OpEntry* find_op(std::uint32_t code) noexcept {
  const auto* const found = std::ranges::find(kOps, static_cast<Op>(code), &OpEntry::op);
  return found == std::end(kOps) ? nullptr : found;
}

}  // namespace slipstream::forest
