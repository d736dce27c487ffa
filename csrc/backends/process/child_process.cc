#include "backends/process/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backends/process/system_error.h"

namespace slipstream::process {
namespace {

// <sys/pidfd.h> and P_PIDFD came with glibc 2.36; the kernel's side is older.
constexpr auto kWaitByPidfd = static_cast<idtype_t>(3);

// posix_spawn's two parameter objects, destroyed on every way out.
class SpawnParameters {
 public:
  SpawnParameters() noexcept {
    error_ = ::posix_spawn_file_actions_init(&actions_);
    if (error_ != 0) return;
    error_ = ::posix_spawnattr_init(&attributes_);
    initialised_ = error_ == 0;
    if (!initialised_) ::posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnParameters(const SpawnParameters&) = delete;
  SpawnParameters& operator=(const SpawnParameters&) = delete;
  ~SpawnParameters() {
    if (!initialised_) return;
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }

  void redirect(int ours, int theirs) noexcept {
    if (error_ == 0) error_ = ::posix_spawn_file_actions_adddup2(&actions_, ours, theirs);
  }
  void open(int theirs, const char* path, int flags) noexcept {
    if (error_ == 0) error_ = ::posix_spawn_file_actions_addopen(&actions_, theirs, path, flags, 0);
  }
  void close_from(int first) noexcept {
    if (error_ == 0) error_ = ::posix_spawn_file_actions_addclosefrom_np(&actions_, first);
  }
  // Default handlers for everything (an embedding program may ignore SIGPIPE or SIGCHLD) and a
  // clean mask (the calling thread may block signals), except what would end the child before it
  // can look after itself: Ctrl-C, a terminal that goes and a service manager's SIGTERM go to whole
  // process groups.
  void reset_signals() noexcept {
    sigset_t blocked;
    sigset_t all;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGINT);
    ::sigaddset(&blocked, SIGTERM);
    ::sigaddset(&blocked, SIGHUP);
    ::sigfillset(&all);
    if (error_ == 0) error_ = ::posix_spawnattr_setsigmask(&attributes_, &blocked);
    if (error_ == 0) error_ = ::posix_spawnattr_setsigdefault(&attributes_, &all);
    if (error_ == 0) {
      error_ =
          ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
  }

  [[nodiscard]] int spawn(pid_t& pid, const char* program, char* const* arguments,
                          char* const* environment) noexcept {
    if (error_ != 0) return error_;
    return ::posix_spawn(&pid, program, &actions_, &attributes_, arguments, environment);
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
  bool initialised_ = false;
};

// posix_spawn takes char* for historical reasons; it does not write through them.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// The first number above those that the child gets.
int first_free_number(std::span<const ChildProcess::PassedFd> passed) {
  int highest = STDERR_FILENO;
  for (const auto& [ours, theirs] : passed) highest = std::max(highest, theirs);
  return highest + 1;
}

// Copies of the passed descriptors above every number they will get, so that placing one in the
// child cannot overwrite another.
Result<std::vector<UniqueFd>> move_out_of_the_way(std::span<const ChildProcess::PassedFd> passed) {
  std::vector<UniqueFd> copies;
  copies.reserve(passed.size());
  for (const auto& [ours, theirs] : passed) {
    copies.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, first_free_number(passed)));
    if (!copies.back().is_open()) {
      return resource_exhausted(system_error_text("duplicate a file descriptor", errno));
    }
  }
  return copies;
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::string& program,
                                         const std::vector<std::string>& arguments,
                                         const std::vector<std::string>& environment,
                                         std::span<const PassedFd> passed) {
  Result<std::vector<UniqueFd>> copies = move_out_of_the_way(passed);
  if (!copies.is_ok()) return copies.status();
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);

  SpawnParameters parameters;
  parameters.reset_signals();
  parameters.open(STDIN_FILENO, "/dev/null", O_RDONLY);
  if (::fcntl(STDERR_FILENO, F_GETFD) < 0) parameters.open(STDERR_FILENO, "/dev/null", O_WRONLY);
  parameters.redirect(STDERR_FILENO, STDOUT_FILENO);
  for (std::size_t i = 0; i < passed.size(); ++i) {
    parameters.redirect(copies.value()[i].get(), passed[i].theirs);
  }
  parameters.close_from(first_free_number(passed));
  pid_t pid = 0;
  const int error = parameters.spawn(pid, program.c_str(), argv.data(), envp.data());
  if (error != 0) {
    const std::string text = system_error_text("start '" + program + "'", error);
    return error == ENOENT ? not_found(text) : failed_precondition(text);
  }
  // The child is not reaped yet (unless this program ignores SIGCHLD), so its number means it.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.is_open()) {
    const int reason = errno;
    if (reason != ESRCH) {  // ESRCH: it ended and the kernel reaped it; the number is nobody's.
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    return failed_precondition(
        system_error_text("supervise worker processes (Linux 5.4 or newer is needed)", reason));
  }
  return ChildProcess(pid, std::move(pidfd));
}

ChildProcess::~ChildProcess() {
  if (pidfd_.is_open()) kill();
}

void ChildProcess::reap(int wait_flags) noexcept {
  if (ending_) return;
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(kWaitByPidfd, static_cast<id_t>(pidfd_.get()), &info, WEXITED | wait_flags);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    // ECHILD: the host program ignores SIGCHLD or waits for every child; only the end is known.
    ending_ = Ending{.by_signal = false, .number = -1};
  } else if (info.si_pid != 0) {
    ending_ = Ending{.by_signal = info.si_code != CLD_EXITED, .number = info.si_status};
  }
}

bool ChildProcess::has_ended() noexcept {
  return wait_for_end(std::chrono::milliseconds(0));
}

bool ChildProcess::wait_for_end(std::chrono::milliseconds grace) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + grace;
  while (!ending_) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poll_entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll_entry, 1, static_cast<int>(std::max(left.count(), 0L)));
    if (ready > 0) {
      reap(WNOHANG);
    } else if (left.count() <= 0) {
      return false;
    }
  }
  return true;
}

void ChildProcess::signal_kill() const noexcept {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void ChildProcess::kill() noexcept {
  if (ending_) return;
  signal_kill();
  reap(0);
}

std::string ChildProcess::describe_ending() const {
  if (!ending_ || ending_->number < 0) return "ended";
  if (!ending_->by_signal) return "exited with code " + std::to_string(ending_->number);
  const char* const name = ::sigabbrev_np(ending_->number);
  return "was killed by signal " + std::to_string(ending_->number) +
         (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
}

}  // namespace slipstream::process
