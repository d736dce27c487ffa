// Whether an ONNX file has a Loop in it: then how long an execution takes is decided by what it is
// given, and not by its shapes alone, so that nothing learned says how long the next one takes.
//
// Read from the file itself, since ONNX Runtime tells no operators: the few fields of onnx.proto
// that lead to the operators' names, in graphs, in graphs of attributes, and in functions. All else
// is stepped over.
// Threads: any. Failure: what cannot be read counts as a loop. Nothing throws.
#pragma once

#include <cstddef>
#include <span>

namespace slipstream::onnx {

[[nodiscard]] bool may_loop(std::span<const std::byte> model) noexcept;

}  // namespace slipstream::onnx
