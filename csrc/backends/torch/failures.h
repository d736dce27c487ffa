// What libtorch throws, as a Status.
//
// Messages of TorchScript are tracebacks through the model's source, whose last line is the error;
// only that line is kept. Those of libtorch itself end in a trace of native frames, which, as where
// files of this machine lie, is for nobody who asks a model: it is cut off. A model that raises by
// itself (kInvalidArgument) objects to its input; an operator that fails (kInternal) may mean
// either. Threads: any.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "core/status.h"

namespace slipstream::libtorch {

// The Status of the exception that is being handled; to be called inside a catch block only.
// `while_doing` begins the message. Throws std::bad_alloc.
[[nodiscard]] Status status_of_current_exception(const std::string& while_doing);

// The last line that says something: before any trace of native frames, without the name of its
// exception's class, and without addresses and paths of files.
[[nodiscard]] std::string last_line(std::string_view text);

// Calls `work`, which returns a Status or a Result, and turns what it throws into a Status.
template <class Work>
[[nodiscard]] auto guarded(const char* while_doing, Work&& work) noexcept -> decltype(work()) {
  try {
    try {
      return work();
    } catch (...) {
      return status_of_current_exception(while_doing);
    }
  } catch (...) {  // no memory for the message
    return Status(StatusCode::kResourceExhausted, {});
  }
}

}  // namespace slipstream::libtorch
