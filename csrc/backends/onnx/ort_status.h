// OrtStatus* -> Status, and owning handles for what ONNX Runtime's Create* functions make.
//
// Threads: any. Ownership: take_status() consumes the OrtStatus; an Owned<T> releases its object.
// Failure: throws std::bad_alloc (from building the message), after releasing the OrtStatus.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backends/onnx/ort_abi.h"
#include "core/status.h"

namespace slipstream::onnx {

// A pointer together with the Release* function of the table it came from.
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*) noexcept>;

// What the failing call was about decides what a code means: the model file, or one request.
enum class Phase { kLoad, kRun };

// OK for null. Else a Status whose message is `context`, a colon and ONNX Runtime's own words:
//   kNotFound         loading: no such file
//   kInvalidArgument  loading: the file is no model this library can run;
//                     running: the inputs do not fit the model
//   kResourceExhausted  no memory, on the host or on a device
//   kInternal         everything else
[[nodiscard]] Status take_status(const Api& api, OrtStatus* status, Phase phase,
                                 std::string_view context);

}  // namespace slipstream::onnx
