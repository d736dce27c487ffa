// Reads a session's inputs and outputs into a ModelSpec and decides whether rows may be batched.
//
// `auto` answers batchable when every input and every output has at least one dimension, the first
// of them dynamic, and these first dimensions bear the same symbolic name or, all of them, none.
// That is what an exporter writes for a batch axis; it is no proof, so an operator who knows better
// sets true or false. `true` is still refused where it cannot be: an input or output whose first
// dimension is fixed.
// Threads: any. Failure: kInvalidArgument that names the input or output; throws std::bad_alloc.
#pragma once

#include <string>
#include <vector>

#include "backends/onnx/options.h"
#include "backends/onnx/ort_runtime.h"
#include "core/backend.h"

namespace slipstream::onnx {

[[nodiscard]] Result<ModelSpec> read_model_spec(const Runtime& runtime, const OrtSession* session,
                                                Batchable batchable);

}  // namespace slipstream::onnx
