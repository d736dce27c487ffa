#include "backends/torch/target.h"

namespace slipstream::libtorch {

Result<TorchTarget> open_target(int /*ordinal*/) {
  return failed_precondition(
      "torch backend: it was built for a torch without CUDA, or without CUDA's headers; install a "
      "torch for CUDA and nvidia-cuda-runtime, and run `slipstream build-backend torch`");
}

void give_back_unused() noexcept {}

Result<std::unique_ptr<ComputeStream>> make_stream(const TorchTarget& /*target*/) {
  return failed_precondition("torch backend: it was built without CUDA");
}

}  // namespace slipstream::libtorch
