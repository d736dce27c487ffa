// A real runtime of TensorRT's, whose file SLIPSTREAM_TENSORRT_LIBRARY names to CMake: that it is
// opened, and what it says of a plan that is none. On a machine without a GPU it does not start,
// and says so.
#include <NvInferVersion.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "backends/tensorrt/library.h"
#include "core/backend_loader.h"
#include "harness.h"
#include "plan_writer.h"

namespace slipstream::tensorrt {
namespace {

void show(const Status& status) {
  std::cerr << "     " << status_code_name(status.code()) << ": " << status.message() << '\n';
}

TEST(the_library_opens_and_tells_its_version) {
  const Result<const Library*> library = Library::open(SLIPSTREAM_TENSORRT_LIBRARY);
  if (!library.is_ok()) show(library.status());
  REQUIRE(library.is_ok());
  CHECK_EQ(library.value()->version().major, NV_TENSORRT_MAJOR);
  std::cerr << "     " << to_string(library.value()->version()) << '\n';
}

TEST(it_starts_or_says_why_not) {
  const Result<const Library*> library = Library::open(SLIPSTREAM_TENSORRT_LIBRARY);
  REQUIRE(library.is_ok());
  const Result<std::unique_ptr<nvinfer1::IRuntime>> runtime = library.value()->create_runtime();
  if (runtime.is_ok()) return;
  show(runtime.status());
  CHECK(runtime.status().code() == StatusCode::kUnavailable);
  CHECK(runtime.status().message().find("TensorRT says: ") != std::string::npos);
}

TEST(junk_is_refused_by_the_backend) {
  BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> backend = registry.open("tensorrt");
  REQUIRE(backend.is_ok());
  const auto folder = std::filesystem::temp_directory_path() / "slipstream_tensorrt_library";
  const Version version{.major = NV_TENSORRT_MAJOR, .minor = NV_TENSORRT_MINOR, .patch = 0};
  const std::string plan = write_plan(folder / "junk.plan", version, std::string(4096, 'x'));
  const Status status =
      backend.value()
          ->load({.path = plan, .options = {{"library_path", SLIPSTREAM_TENSORRT_LIBRARY}}})
          .status();
  show(status);
  CHECK(!status.is_ok());
  CHECK(status.message().size() > 40);
}

}  // namespace
}  // namespace slipstream::tensorrt
