// Nothing is left behind: no descriptor, no zombie, no orphan, whoever goes first.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>

#include <array>
#include <cstdlib>

#include "process_fixture.h"

namespace {

using namespace process_test;

constexpr char kRole[] = "SLIPSTREAM_TEST_ROLE";

// Starts this executable again to play the server of a test below; returns its pid and its stdout.
std::pair<pid_t, int> start_server(const std::string& role) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  std::string filter = "plays_the_server";
  std::array<char*, 3> arguments{self.data(), filter.data(), nullptr};
  setenv(kRole, role.c_str(), 1);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, self.c_str(), &actions, nullptr, arguments.data(), environ);
  unsetenv(kRole);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  REQUIRE(error == 0);
  return {pid, ends[0]};
}

// A handle on a process that is not our child; readable when it has ended.
int watch(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

bool ends_within_a_minute(int pidfd) {
  pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, 60'000) == 1;
}

}  // namespace

// Not a test by itself: the server whose death the next test watches.
TEST(plays_the_server) {
  const char* role = getenv(kRole);
  if (role == nullptr) return;
  const TemporaryFolder folder;
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const std::int64_t pid = command(*instance, "pid").pid();
  std::jthread busy;
  if (std::string_view(role) != "idle") {
    busy = std::jthread([&] {
      const Answer answer = command(*instance, role + (":" + folder.file("here")));
      CHECK(answer.status.is_ok());
    });
    REQUIRE(eventually([&] { return std::filesystem::exists(folder.file("here")); }));
  }
  std::filesystem::remove_all(folder.file(""));
  REQUIRE(write(STDOUT_FILENO, &pid, sizeof(pid)) == sizeof(pid));
  for (;;) pause();
}

TEST(a_killed_server_leaves_no_orphan) {
  for (const char* role : {"idle", "block", "block_natively"}) {
    const auto [server, output] = start_server(role);
    std::int64_t worker = 0;
    CHECK_EQ(read(output, &worker, sizeof(worker)), static_cast<ssize_t>(sizeof(worker)));
    const int pidfd = watch(static_cast<pid_t>(worker));
    CHECK(pidfd >= 0);
    CHECK_EQ(kill(server, SIGKILL), 0);
    CHECK_EQ(waitpid(server, nullptr, 0), server);
    CHECK(ends_within_a_minute(pidfd));
    close(pidfd);
    close(output);
  }
}

TEST(nothing_is_left_after_unloading_whatever_happened_before) {
  static_cast<void>(load("Control"));  // what the first use opens for good is not a leak
  const std::size_t before = open_files();
  {
    const auto model = load("Control", {{"execute_timeout_ms", "200"}});
    const auto first = must(model->create_instance());
    const auto second = must(model->create_instance());
    for (int i = 0; i < 3; ++i) {
      CHECK(!command(*first, "exit:1").status.is_ok());
      CHECK(!command(*second, "block:/dev/null").status.is_ok());
      CHECK(command(*second, "data:1000000").status.is_ok());
    }
    static_cast<void>(load_failure("nobody"));
    static_cast<void>(load_failure("Control", {{"python", "/no/such/python"}}));
    CHECK(!no_children());
  }
  CHECK(no_children());
  CHECK_EQ(open_files(), before);
}

TEST(a_model_without_instances_takes_its_worker_along) {
  static_cast<void>(load("Control"));
  CHECK(no_children());
}

TEST(workers_get_their_own_descriptors_and_no_others) {
  const TemporaryFolder folder;
  folder.write("stranger", "");
  // Not O_CLOEXEC: what a careless host program leaves open must not reach a model either.
  const int stranger = open(folder.file("stranger").c_str(), O_RDONLY);
  const auto model = load("Control");
  const auto first = must(model->create_instance());
  const auto second = must(model->create_instance());
  for (auto* instance : {first.get(), second.get()}) {
    const Answer answer = command(*instance, "files");
    REQUIRE(answer.status.is_ok());
    std::map<std::string, int> kinds;
    for (const std::string& target : answer.outputs.at(2).strings()) {
      ++kinds[target.substr(0, target.find(':'))];
      CHECK(target != folder.file("stranger"));
    }
    CHECK_EQ(kinds["socket"], 1);
    CHECK_EQ(kinds["/memfd"], 4);  // two segments; Python's mmap duplicates each descriptor
    CHECK_EQ(answer.outputs.at(2).elements(), 3 + 1 + 4 + 1);  // and the lifeline
  }
  close(stranger);
}

TEST(passed_descriptors_may_have_any_number_here) {
  // With stdin closed and low numbers free, ours collide with the numbers they get in the worker.
  const int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 50);
  close(STDIN_FILENO);
  {
    const auto model = load("Control");
    const auto instance = must(model->create_instance());
    CHECK(command(*instance, "pid").status.is_ok());
  }
  if (saved >= 0) {
    dup2(saved, STDIN_FILENO);
    close(saved);
  }
}

TEST(workers_outlive_interrupts_that_are_meant_for_the_server) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const Answer answer = command(*instance, "signals");
  REQUIRE(answer.status.is_ok());
  CHECK_EQ(answer.text(), std::string("survived"));
  CHECK_EQ(instance->restarts(), 0U);
}

TEST(a_host_that_ignores_its_children_is_served_too) {
  struct sigaction ignore{};
  struct sigaction saved{};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(sigaction(SIGCHLD, &ignore, &saved) == 0);
  {
    const auto model = load("Control");
    const auto instance = must(model->create_instance());
    CHECK(command(*instance, "exit:1").status.code() == StatusCode::kUnavailable);
    CHECK(command(*instance, "pid").status.is_ok());
  }
  CHECK_EQ(sigaction(SIGCHLD, &saved, nullptr), 0);
}
