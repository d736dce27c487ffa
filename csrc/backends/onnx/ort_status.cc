#include "backends/onnx/ort_status.h"

#include <algorithm>
#include <utility>

namespace slipstream::onnx {
namespace {

// Of the arena of a provider, and of CUDA itself. ONNX Runtime has no code of its own for it.
bool tells_no_memory(std::string_view text) {
  return text.find("Failed to allocate memory") != std::string_view::npos ||
         text.find("out of memory") != std::string_view::npos;
}

StatusCode code_for(int error, std::string_view text, Phase phase) {
  if (tells_no_memory(text)) return StatusCode::kResourceExhausted;
  if (phase == Phase::kRun) {
    return error == kInvalidArgument ? StatusCode::kInvalidArgument : StatusCode::kInternal;
  }
  switch (error) {
    case kNoSuchFile:
      return StatusCode::kNotFound;
    case kEngineError:
    case kProviderFailed:
      return StatusCode::kInternal;
    default:  // junk, a broken graph, an unknown operator, an opset from the future
      return StatusCode::kInvalidArgument;
  }
}

// ONNX Runtime's text on one line: a message may end up in a log or an HTTP header.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, text.find_last_not_of(" \r\n") + 1));
  std::ranges::replace(line, '\n', ' ');
  return line;
}

}  // namespace

Status take_status(const Api& api, OrtStatus* status, Phase phase, std::string_view context) {
  if (status == nullptr) return Status::ok();
  const Owned<OrtStatus> owned(status, api.ReleaseStatus);
  std::string message(context);
  message += ": ";
  const std::string text = one_line(api.GetErrorMessage(status));
  message += text;
  return {code_for(api.GetErrorCode(status), text, phase), std::move(message)};
}

}  // namespace slipstream::onnx
