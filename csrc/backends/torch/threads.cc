#include "backends/torch/threads.h"

#include <ATen/Parallel.h>

namespace slipstream::libtorch {

void use_threads(int count) {
  thread_local int used = 0;
  if (used == count) return;
  at::init_num_threads();  // or the first operator would put the number of the process in its place
  at::set_num_threads(count);
  used = count;
}

}  // namespace slipstream::libtorch
