#include "core/backend_loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <thread>

#include "harness.h"

namespace slipstream {
namespace {

namespace fs = std::filesystem;

// A folder of our own under the system's temporary folder, removed when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "slipstream_loader_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { fs::remove_all(path_); }

  [[nodiscard]] fs::path library(const std::string& name) const {
    return path_ / ("libslipstream_backend_" + name + ".so");
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

bool mentions(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

fs::path echo_library() {
  return fs::path(SLIPSTREAM_BACKEND_DIR) / "libslipstream_backend_echo.so";
}

TEST(opens_a_backend_once_whoever_asks) {
  BackendRegistry first({"/no/such/folder", SLIPSTREAM_BACKEND_DIR});
  BackendRegistry second({SLIPSTREAM_BACKEND_DIR});
  const Result<Backend*> opened = first.open("echo");
  REQUIRE(opened.is_ok());
  CHECK_EQ(opened.value()->name(), "echo");
  CHECK_EQ(first.open("echo").value(), opened.value());
  CHECK_EQ(second.open("echo").value(), opened.value());
}

TEST(several_threads_get_the_same_backend) {
  BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  std::vector<Backend*> seen(8, nullptr);
  {
    std::vector<std::jthread> threads;
    for (Backend*& slot : seen) {
      threads.emplace_back([&registry, &slot] {
        const Result<Backend*> opened = registry.open("echo");
        if (opened.is_ok()) slot = opened.value();
      });
    }
  }
  CHECK(seen.front() != nullptr);
  CHECK(std::ranges::all_of(seen, [&](Backend* backend) { return backend == seen.front(); }));
}

TEST(a_missing_backend_names_itself_the_folders_and_the_others) {
  BackendRegistry registry({"/no/such/folder", SLIPSTREAM_BACKEND_DIR});
  const Status status = registry.open("perceptron").status();
  CHECK(status.code() == StatusCode::kNotFound);
  CHECK(mentions(status, "'perceptron'"));
  CHECK(mentions(status, "/no/such/folder"));
  CHECK(mentions(status, SLIPSTREAM_BACKEND_DIR));
  CHECK(mentions(status, "echo"));
}

TEST(a_name_cannot_leave_the_folder) {
  BackendRegistry registry({SLIPSTREAM_BACKEND_DIR});
  for (const std::string_view name : {"", "../echo", "ECHO", "echo.so", "e cho", "x/../../echo"}) {
    CHECK(registry.open(name).status().code() == StatusCode::kInvalidArgument);
  }
}

TEST(junk_is_refused_with_the_linkers_reason_and_can_be_repaired) {
  const TemporaryFolder folder;
  std::ofstream(folder.library("echo")) << "this is no shared object";
  BackendRegistry registry({folder.path()});
  const Status status = registry.open("echo").status();
  CHECK(status.code() == StatusCode::kFailedPrecondition);
  CHECK(mentions(status, "echo"));
  CHECK(mentions(status, "ELF") || mentions(status, "too short"));

  fs::remove(folder.library("echo"));
  fs::create_symlink(echo_library(), folder.library("echo"));
  CHECK(registry.open("echo").is_ok());
}

TEST(a_library_without_the_entry_point_is_refused) {
  const TemporaryFolder folder;
  Dl_info standard_library{};
  REQUIRE(dladdr(reinterpret_cast<void*>(&std::terminate), &standard_library) != 0);
  fs::create_symlink(fs::canonical(standard_library.dli_fname), folder.library("cxx"));
  BackendRegistry registry({folder.path()});
  const Status status = registry.open("cxx").status();
  CHECK(status.code() == StatusCode::kFailedPrecondition);
  CHECK(mentions(status, "slipstream_backend_create_v1"));
}

TEST(a_renamed_library_is_refused) {
  const TemporaryFolder folder;
  fs::create_symlink(echo_library(), folder.library("parrot"));
  BackendRegistry registry({folder.path()});
  const Status status = registry.open("parrot").status();
  CHECK(status.code() == StatusCode::kFailedPrecondition);
  CHECK(mentions(status, "'parrot'"));
}

TEST(available_lists_each_backend_once_and_nothing_else) {
  const TemporaryFolder folder;
  for (const char* name : {"zebra", "echo", "Bad"}) std::ofstream(folder.library(name)) << "x";
  std::ofstream(fs::path(folder.path()) / "libother.so") << "x";
  std::ofstream(folder.library("")) << "x";
  const BackendRegistry registry({folder.path(), "", "/no/such/folder", folder.path()});
  const std::vector<std::string> expected{"echo", "zebra"};
  CHECK(registry.available() == expected);
}

}  // namespace
}  // namespace slipstream
