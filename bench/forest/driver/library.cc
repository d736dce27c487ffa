#include "library.h"

#include <dlfcn.h>

#include "rival.h"

namespace slipstream::bench {

SharedLibrary::SharedLibrary(const std::string& path)
    : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    const char* const why = dlerror();
    throw BenchError("cannot open " + path + ": " + (why == nullptr ? "no reason given" : why));
  }
}

void* SharedLibrary::symbol(const char* name) const {
  void* const found = dlsym(handle_, name);
  if (found == nullptr) throw BenchError(path_ + " has no symbol " + name);
  return found;
}

}  // namespace slipstream::bench
