// A build without CUDA's headers says so, and how to get them.
#include "cuda/cuda_device.h"
#include "cuda/survey.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::cuda;

namespace {

void check_told(const Status& status) {
  CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
  CHECK(status.message().starts_with("this build was made without CUDA's headers"));
  CHECK(status.message().find("nvidia-cuda-runtime") != std::string::npos);
}

}  // namespace

TEST(it_says_what_is_missing) {
  check_told(survey().status());
  check_told(CudaDevice::open(0).status());
}
