#include "backends/torch/threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace slipstream::libtorch {
namespace {

// What at::set_num_threads() sets for one thread, of the libraries that libtorch itself is linked
// to: a process may well hold other copies of them.
struct Switches {
  void (*set_openmp)(int) = nullptr;
  // Returns what was set before. Null: built without MKL, whose lower-case names are Fortran's.
  int (*set_mkl)(int) = nullptr;

  static const Switches& get() {
    static const Switches found;
    return found;
  }

 private:
  Switches() {
    Dl_info libtorch{};
    if (dladdr(reinterpret_cast<void*>(&at::get_num_threads), &libtorch) == 0) return;
    // With its dependencies, which dlsym() searches, too. It is loaded, so nothing is.
    void* const handle = dlopen(libtorch.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) return;
    set_openmp = reinterpret_cast<void (*)(int)>(dlsym(handle, "omp_set_num_threads"));
    set_mkl = reinterpret_cast<int (*)(int)>(dlsym(handle, "MKL_Set_Num_Threads_Local"));
    dlclose(handle);
  }
};

}  // namespace

// The first question of a thread makes libtorch put the number of the process in place, which it
// would otherwise do at its first operator, over ours.
ThreadsScope::ThreadsScope(int count) : before_(at::get_num_threads()) {
  const Switches& switches = Switches::get();
  if (switches.set_openmp == nullptr) {
    if (before_ != count) at::set_num_threads(count);
    return;
  }
  switches.set_openmp(count);
  if (switches.set_mkl != nullptr) mkl_before_ = switches.set_mkl(count);
}

ThreadsScope::~ThreadsScope() {
  const Switches& switches = Switches::get();
  if (switches.set_openmp == nullptr) {
    if (at::get_num_threads() != before_) at::set_num_threads(before_);
    return;
  }
  switches.set_openmp(before_);
  if (switches.set_mkl != nullptr) switches.set_mkl(mkl_before_);
}

}  // namespace slipstream::libtorch
