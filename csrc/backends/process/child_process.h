// ChildProcess: one started program, held by its pidfd, so that neither waiting for it nor killing
// it can hit a stranger that got its number. Reaped here: whoever destroys a ChildProcess leaves
// neither a process nor a zombie behind. Used by one thread at a time. Needs Linux 5.4.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backends/process/unique_fd.h"
#include "core/status.h"

namespace slipstream::process {

class ChildProcess {
 public:
  // A descriptor of ours and the number it gets in the child, which gets no others but 0, 1, 2.
  struct PassedFd {
    int ours;
    int theirs;
  };

  // Starts the program (posix_spawn: no copy of our memory, nothing of ours runs in the child).
  // The child begins with default signal handlers and with SIGINT, SIGTERM and SIGHUP blocked,
  // stdin from /dev/null, stdout to our stderr. kNotFound when there is no such program.
  [[nodiscard]] static Result<ChildProcess> start(const std::string& program,
                                                  const std::vector<std::string>& arguments,
                                                  const std::vector<std::string>& environment,
                                                  std::span<const PassedFd> passed);

  ChildProcess(ChildProcess&& other) noexcept
      : pid_(other.pid_),
        pidfd_(std::move(other.pidfd_)),
        ending_(std::exchange(other.ending_, std::nullopt)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // kills it if it still runs

  // Readable (POLLIN) from the moment the child has ended.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }

  // Whether the child has ended; reaps it.
  [[nodiscard]] bool has_ended() noexcept;
  // Waits for the end; false when `grace` passes first.
  [[nodiscard]] bool wait_for_end(std::chrono::milliseconds grace) noexcept;
  // SIGKILL. From any thread, beside anything but the destructor.
  void signal_kill() const noexcept;
  // SIGKILL, then waits until the child is gone. Harmless on a child that has ended.
  void kill() noexcept;

  // "exited with code 3", "was killed by signal 9 (SIGKILL)". Precondition: it has ended.
  [[nodiscard]] std::string describe_ending() const;

 private:
  struct Ending {
    bool by_signal;
    int number;  // exit code or signal; -1 if the host program reaped the child behind our back
  };

  ChildProcess(pid_t pid, UniqueFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}
  void reap(int wait_flags) noexcept;

  pid_t pid_;
  UniqueFd pidfd_;
  std::optional<Ending> ending_;
};

}  // namespace slipstream::process
