// BackendRegistry: opens backends by name, `onnx` -> libslipstream_backend_onnx.so.
//
// Use one per engine, with the folders to look in (the wheel's own folder first). Every library is
// opened at most once per process, whatever the number of registries, and is never closed: the
// deleters of tensors that it handed out live in it.
// Threads: any. Ownership: backends belong to the process; the pointers stay valid until it ends.
// Failure: a Status; nothing is printed and no exception leaves open().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/status.h"

namespace slipstream {

class BackendRegistry {
 public:
  // Folders are searched in the order given; those that do not exist are passed over.
  explicit BackendRegistry(std::vector<std::string> directories);

  // The backend called `name`, opened on first use.
  //   kInvalidArgument     the name is not made of a-z, 0-9 and _ (it becomes part of a file name)
  //   kNotFound            no folder holds such a library; the message lists those there are
  //   kFailedPrecondition  the library does not open, or is not a slipstream backend of that name
  [[nodiscard]] Result<Backend*> open(std::string_view name) noexcept;

  // Names of the libraries found in the folders, sorted. Finding is not opening: one of them may
  // still fail to open because something it links to is missing.
  [[nodiscard]] std::vector<std::string> available() const;

 private:
  std::vector<std::string> directories_;
};

}  // namespace slipstream
