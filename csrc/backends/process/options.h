// Launch: everything needed to start (and restart) the worker processes of one model, read once
// from the model's options when it is loaded. Immutable afterwards; any thread may read it.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/status.h"

namespace slipstream::process {

// Where a worker finds the file descriptors it is given; stdin is /dev/null, stdout is stderr.
inline constexpr int kSocketFd = 3;
inline constexpr int kRequestFd = 4;
inline constexpr int kResponseFd = 5;
inline constexpr int kLifelineFd = 6;

struct Launch {
  std::string model;                     // "'digits.pkl' (runner package.module:load)", for errors
  std::string python;                    // path of the interpreter
  std::vector<std::string> arguments;    // argv, with the interpreter first
  std::vector<std::string> environment;  // "NAME=value"
  std::chrono::milliseconds execute_timeout{60'000};
  std::chrono::milliseconds start_timeout{120'000};
  std::size_t max_message_bytes = std::size_t{256} << 20;
};

// Options of the backend:
//   python              path of the Python interpreter (required)
//   runner              "module:callable" that loads the artifact (required)
//   runner.KEY          passed to the callable as options["KEY"]
//   python_path         prepended to PYTHONPATH
//   inherit             what the worker gets of this process's environment: names, separated by
//                       commas, or with a star behind it the beginning of names (nothing)
//   env.NAME            set in the worker's environment; by default the thread pools of BLAS and
//                       OpenMP are limited to one thread, since instances are the parallelism
//   execute_timeout_ms  a call that takes longer is hung and its worker killed (60000)
//   start_timeout_ms    the longest wait for a worker to load its model (120000)
//   max_message_mb      the largest message in either direction (256)
//   memory_limit_mb     address space of the worker, shared segments included (unlimited)
// kInvalidArgument for anything else, naming it. May throw std::bad_alloc.
[[nodiscard]] Result<Launch> make_launch(const ModelConfig& config);

}  // namespace slipstream::process
