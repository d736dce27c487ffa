// FanOut: the same inputs to every member of a composite, each in the dtype that it takes.
//
// Parents take float64 where some member does; members that take float32 (most ONNX graphs) get the
// numbers rounded, once for all of them.
// Threads: any number at once. Failure: a Status that names the member.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/compose/composite.h"

namespace slipstream {

class CompositeRun;

// kInvalidArgument where some member cannot be given what `spec` describes. `kind` and `name` are
// the composite's, for the message.
[[nodiscard]] Status check_fan_out(const std::string& kind, const std::string& name,
                                   const ModelSpec& spec,
                                   const std::vector<CompositeMember>& members);

// Submits to the first `count` members.
[[nodiscard]] Status fan_out(CompositeRun& run, const std::vector<Tensor>& inputs,
                             std::size_t count);

}  // namespace slipstream
