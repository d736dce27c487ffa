// Opening the driver: everything that can be wrong with one, and then one that works. In this
// order, because a process has one driver for good.
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "cuda/cuda_device.h"
#include "cuda/cuda_status.h"
#include "cuda/driver.h"
#include "cuda/survey.h"
#include "fake_cuda.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::cuda;

namespace {

bool contains(const Status& status, std::string_view text) {
  if (status.message().find(text) != std::string::npos) return true;
  std::cout << "    \"" << text << "\" is not in: " << status.message() << '\n';
  return false;
}

const Driver& opened() {
  fake_cuda_machine(2, 12040);
  const Result<const Driver*> driver = Driver::open();
  REQUIRE(driver.is_ok());
  return *driver.value();
}

}  // namespace

TEST(no_library) {
  const Status status = Driver::open("libcuda_of_nobody.so.1").status();
  CHECK_EQ(status.code(), StatusCode::kNotFound);
  CHECK(contains(status, "no NVIDIA driver: libcuda_of_nobody.so.1 is not found; install"));
}

TEST(a_file_that_is_no_library) {
  const Status status = Driver::open("/proc/version").status();
  CHECK_EQ(status.code(), StatusCode::kNotFound);
  CHECK(contains(status, "/proc/version cannot be loaded ("));
}

TEST(a_library_that_is_no_driver) {
  const Status status = Driver::open("libm.so.6").status();
  CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
  CHECK(contains(status, "libm.so.6 has no cuDriverGetVersion"));
}

TEST(a_driver_that_is_too_old) {
  fake_cuda_machine(1, 11080);
  const Status status = Driver::open().status();
  CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
  CHECK(contains(status, "libcuda.so.1 is too old: it is one of CUDA 11.8"));
  CHECK(contains(status, "needs one of CUDA 12.0; install"));
}

TEST(a_driver_without_a_function) {
  fake_cuda_machine(1, 12000);
  fake_cuda_hide("cuLaunchHostFunc");
  const Status status = Driver::open().status();
  fake_cuda_hide(nullptr);
  CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
  CHECK(contains(status, "it has no cuLaunchHostFunc"));
}

TEST(a_driver_that_does_not_start) {
  fake_cuda_machine(1, 12040);
  fake_cuda_init_result(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
  const Status status = Driver::open().status();
  fake_cuda_init_result(CUDA_SUCCESS);
  CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
  CHECK(contains(status, "does not start: cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (as the fake"));
  CHECK(contains(status, "restart the machine"));
}

TEST(no_device) {
  fake_cuda_machine(0, 12040);
  for (const Status& status : {survey().status(), CudaDevice::open(0).status()}) {
    CHECK_EQ(status.code(), StatusCode::kFailedPrecondition);
    CHECK(contains(status, "CUDA_ERROR_NO_DEVICE"));
    CHECK(contains(status, "CUDA_VISIBLE_DEVICES"));
  }
}

TEST(it_is_opened_once) {
  const Driver& driver = opened();
  CHECK_EQ(driver.path, std::string("libcuda.so.1"));
  CHECK_EQ(driver.cuda_version, 12040);
  CHECK_EQ(driver.devices, 2);
  CHECK_EQ(Driver::open().value(), &driver);
  CHECK_EQ(Driver::open("libcuda.so.1").value(), &driver);
  const Status other = Driver::open("libm.so.6").status();
  CHECK_EQ(other.code(), StatusCode::kFailedPrecondition);
  CHECK(contains(other, "already runs the NVIDIA driver libcuda.so.1: libm.so.6 is another one"));
}

TEST(a_survey_makes_no_context) {
  opened();
  const Result<CudaSurvey> found = survey();
  REQUIRE(found.is_ok());
  CHECK_EQ(found.value().driver_cuda_version, 12040);
  REQUIRE(found.value().devices.size() == 2);
  const CudaProperties& second = found.value().devices[1];
  CHECK_EQ(second.index, 1);
  CHECK_EQ(second.name, std::string("Fake H100"));
  CHECK_EQ(second.compute_major, 9);
  CHECK_EQ(second.compute_minor, 0);
  CHECK_EQ(second.multiprocessors, 114);
  CHECK_EQ(second.copy_engines, 3);
  CHECK_EQ(second.total_bytes, std::size_t{1} << 30U);
  CHECK_EQ(second.pci_bus_id, std::string("0000:3B:01.0"));
  CHECK_EQ(fake_cuda_contexts(0) + fake_cuda_contexts(1), 0);
}

TEST(a_device_that_is_not_there) {
  opened();
  for (const int index : {-1, 2}) {
    const Status status = CudaDevice::open(index).status();
    CHECK_EQ(status.code(), StatusCode::kNotFound);
    CHECK(contains(status, "cuda:" + std::to_string(index) + " is not there: this process has 2"));
  }
}

TEST(errors_become_statuses) {
  const Driver& driver = opened();
  const auto code_of = [&](CUresult result) {
    const Status status = cuda_status(driver, result, "cuThis");
    CHECK(status.message().starts_with("cuThis: "));
    return status.code();
  };
  CHECK(cuda_status(driver, CUDA_SUCCESS, "cuThis").is_ok());
  CHECK_EQ(code_of(CUDA_ERROR_OUT_OF_MEMORY), StatusCode::kResourceExhausted);
  CHECK_EQ(code_of(CUDA_ERROR_INVALID_VALUE), StatusCode::kInvalidArgument);
  CHECK_EQ(code_of(CUDA_ERROR_INVALID_HANDLE), StatusCode::kInvalidArgument);
  CHECK_EQ(code_of(CUDA_ERROR_INVALID_CONTEXT), StatusCode::kFailedPrecondition);
  CHECK_EQ(code_of(CUDA_ERROR_DEVICE_UNAVAILABLE), StatusCode::kUnavailable);
  CHECK_EQ(code_of(CUDA_ERROR_NOT_SUPPORTED), StatusCode::kInternal);
  for (const int sticky : {214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721}) {
    CHECK_EQ(code_of(static_cast<CUresult>(sticky)), StatusCode::kUnavailable);
    CHECK(loses_the_device(static_cast<CUresult>(sticky)));
  }
  for (const int passing : {1, 2, 46, 201, 400, 600, 701, 801}) {
    CHECK(!loses_the_device(static_cast<CUresult>(passing)));
  }
  CHECK_EQ(cuda_error_text(driver, CUDA_ERROR_ILLEGAL_ADDRESS),
           std::string("CUDA_ERROR_ILLEGAL_ADDRESS (as the fake driver puts it)"));
  CHECK_EQ(cuda_error_text(driver, static_cast<CUresult>(998)), std::string("CUDA error 998"));
}

TEST(a_forked_process_is_refused) {
  opened();
  const pid_t child = fork();
  if (child == 0) {
    const Status status = Driver::open().status();
    _exit(status.code() == StatusCode::kFailedPrecondition &&
                  status.message().find("forked") != std::string::npos
              ? 0
              : 1);
  }
  int ended = -1;
  REQUIRE(waitpid(child, &ended, 0) == child);
  CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
  CHECK(Driver::open().is_ok());
}
