// What the tests of the process backend share: loading it as the server does (from its shared
// library), models of tests/worker_runners.py, and a look at this process's children and files.
#pragma once

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "harness.h"
#include "must.h"

namespace process_test {

using slipstream::DType;
using slipstream::Execution;
using slipstream::Instance;
using slipstream::Model;
using slipstream::ModelConfig;
using slipstream::Result;
using slipstream::Shape;
using slipstream::Status;
using slipstream::StatusCode;
using slipstream::Tensor;
using slipstream::testing::must;

using Options = std::map<std::string, std::string>;

inline slipstream::Backend& backend() {
  static const std::unique_ptr<slipstream::Backend> instance = [] {
    void* library =
        dlopen(SLIPSTREAM_BACKEND_DIR "/libslipstream_backend_process.so", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    auto* create = reinterpret_cast<slipstream::Backend* (*)()>(
        dlsym(library, "slipstream_backend_create_v1"));
    REQUIRE(create != nullptr);
    return std::unique_ptr<slipstream::Backend>(create());
  }();
  return *instance;
}

inline ModelConfig config(const std::string& runner, Options options = {}, std::string path = "") {
  options.try_emplace("python", SLIPSTREAM_TEST_PYTHON);
  options.try_emplace("python_path", SLIPSTREAM_TEST_PYTHON_PATH);
  options.try_emplace("inherit", "*");
  options.try_emplace("runner", "worker_runners:" + runner);
  return {.path = std::move(path), .options = std::move(options)};
}

inline std::unique_ptr<Model> load(const std::string& runner, Options options = {},
                                   std::string path = "") {
  return must(backend().load(config(runner, std::move(options), std::move(path))));
}

inline Status load_failure(const std::string& runner, Options options = {}, std::string path = "") {
  auto result = backend().load(config(runner, std::move(options), std::move(path)));
  REQUIRE(!result.is_ok());
  return result.status();
}

inline Tensor strings(const std::vector<std::string>& texts) {
  Tensor tensor = Tensor::allocate(DType::kString, {static_cast<std::int64_t>(texts.size())});
  std::copy(texts.begin(), texts.end(), tensor.strings().begin());
  return tensor;
}

struct Answer {
  Status status;
  std::vector<Tensor> outputs;

  [[nodiscard]] std::int64_t pid() const { return outputs.at(0).as<std::int64_t>()[0]; }
  [[nodiscard]] std::string text(std::size_t i = 0) const { return outputs.at(2).strings()[i]; }
};

// Gives commands to the runner Control.
inline Answer command(Instance& instance, const std::vector<std::string>& words,
                      std::uint64_t wanted = ~std::uint64_t{0}) {
  const std::vector<Tensor> inputs{strings(words)};
  Answer answer;
  answer.status = instance.execute({.inputs = inputs, .outputs_wanted = wanted}, answer.outputs);
  return answer;
}
inline Answer command(Instance& instance, const std::string& word) {
  return command(instance, std::vector<std::string>{word});
}

inline bool contains(const Status& status, std::string_view text) {
  if (status.message().find(text) != std::string::npos) return true;
  std::cerr << "message: " << status.message() << '\n';
  return false;
}

inline std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

// Neither a running child nor a zombie.
inline bool no_children() {
  return waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

// A path in a directory that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "slipstream-process-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

// Waits until something outside of this process has happened; gives up after a minute.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace process_test
