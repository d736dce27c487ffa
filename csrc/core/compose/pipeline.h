// Pipeline: each member gets what the one before it answered; the last one's answer is the
// parent's.
//
// make_pipeline("ocr", {{{detector}}, {{recogniser}, cut_out_lines}})
//
// A step's transform makes its inputs of the outputs before it (of the parent's inputs, for the
// first step). It runs on the thread that ended the previous member's request: keep it short and
// pure (it may run on several threads at once). What it throws fails the parent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/compose/composite.h"

namespace slipstream {

using Transform = std::function<Result<std::vector<Tensor>>(std::vector<Tensor>&& tensors)>;

struct PipelineStep {
  CompositeMember member;
  Transform transform = nullptr;  // null: the tensors as they are
};

// Failure: kInvalidArgument when there is no step, a member is null, or a step without a transform
// takes other tensors than the one before it answers.
[[nodiscard]] Result<std::unique_ptr<Composite>> make_pipeline(std::string name,
                                                               std::vector<PipelineStep> steps);

}  // namespace slipstream
