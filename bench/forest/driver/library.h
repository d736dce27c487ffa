// SharedLibrary: dlopen with errors that say what was looked for.
//
// Libraries are opened locally (RTLD_LOCAL), so that two rivals with symbols of one name do not
// meet, and are never closed: their thread pools may outlive the models.
// Threads: any. Ownership: the process owns what is open. Failure: BenchError.
#pragma once

#include <string>

namespace slipstream::bench {

class SharedLibrary {
 public:
  explicit SharedLibrary(const std::string& path);

  // The function `name` as a pointer of type Function, whose signature the caller vouches for.
  template <class Function>
  [[nodiscard]] Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

 private:
  [[nodiscard]] void* symbol(const char* name) const;

  std::string path_;
  void* handle_ = nullptr;
};

}  // namespace slipstream::bench
