// Workers that die, hang or never come up: what the caller is told, and that the next call works.
#include <signal.h>

#include <atomic>
#include <future>

#include "process_fixture.h"

namespace {

using namespace process_test;

constexpr char kNoSuchPackage[] = "xgboost_that_is_not_installed";

}  // namespace

TEST(a_worker_killed_in_mid_execute_is_an_error_and_the_next_call_works) {
  const TemporaryFolder folder;
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const auto pid = static_cast<pid_t>(command(*instance, "pid").pid());

  auto blocked = std::async(std::launch::async,
                            [&] { return command(*instance, "block:" + folder.file("here")); });
  REQUIRE(eventually([&] { return std::filesystem::exists(folder.file("here")); }));
  CHECK_EQ(kill(pid, SIGKILL), 0);
  const Status status = blocked.get().status;
  CHECK(status.code() == StatusCode::kUnavailable);
  CHECK(contains(status, "was killed by signal 9 (SIGKILL) while it answered a request"));
  CHECK(no_children());

  const Answer next = command(*instance, "pid");
  CHECK(next.status.is_ok());
  CHECK(next.pid() != pid);
  CHECK_EQ(instance->restarts(), 1U);
}

TEST(a_worker_that_ends_itself_is_named_by_exit_code_or_signal) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const auto dies = [&](const std::string& word, std::string_view text) {
    const Status status = command(*instance, word).status;
    CHECK(status.code() == StatusCode::kUnavailable);
    CHECK(contains(status, text));
    CHECK(command(*instance, "pid").status.is_ok());
  };
  dies("exit:3", "exited with code 3");
  dies("sys_exit:4", "exited with code 4");
  dies("signal:11", "signal 11 (SIGSEGV)");
  CHECK_EQ(instance->restarts(), 3U);
}

TEST(a_worker_that_died_while_idle_is_replaced_without_an_error) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const auto pid = static_cast<pid_t>(command(*instance, "pid").pid());
  CHECK_EQ(kill(pid, SIGKILL), 0);
  siginfo_t info{};  // until the kernel is done with it; WNOWAIT leaves it for its instance to reap
  CHECK_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  const Answer next = command(*instance, "pid");
  CHECK(next.status.is_ok());
  CHECK_EQ(instance->restarts(), 1U);
}

TEST(a_hung_worker_is_killed_after_the_timeout) {
  const TemporaryFolder folder;
  const auto model = load("Control", {{"execute_timeout_ms", "300"}});
  const auto instance = must(model->create_instance());
  for (const char* word : {"block:", "block_natively:"}) {
    const Status status = command(*instance, word + folder.file("here")).status;
    CHECK(status.code() == StatusCode::kUnavailable);
    CHECK(contains(status, "did not answer within 300 ms"));
    CHECK(no_children());
  }
  CHECK(command(*instance, "pid").status.is_ok());
}

TEST(whoever_interrupts_an_execution_ends_it_and_its_worker) {
  const TemporaryFolder folder;
  const auto model = load("Control", {{"execute_timeout_ms", "60000"}});
  const auto instance = must(model->create_instance());
  auto blocked = std::async(std::launch::async,
                            [&] { return command(*instance, "block:" + folder.file("begun")); });
  REQUIRE(eventually([&] { return std::filesystem::exists(folder.file("begun")); }));
  instance->interrupt();
  const Status status = blocked.get().status;
  CHECK(status.code() == StatusCode::kUnavailable);
  CHECK(contains(status, "SIGKILL"));
  CHECK(no_children());
}

TEST(a_failed_load_says_what_the_worker_said) {
  const TemporaryFolder folder;
  const auto fails = [&](const std::string& mood, StatusCode code, std::string_view text) {
    const Status status = load_failure("moody", {}, folder.write("mood", mood));
    CHECK(status.code() == code);
    CHECK(contains(status, text));
  };
  fails("raise no such tree", StatusCode::kInternal, "RuntimeError: no such tree");
  fails("value not a model", StatusCode::kInvalidArgument, "not a model");
  fails("missing install slipstream[xgboost]", StatusCode::kFailedPrecondition,
        "install slipstream[xgboost]");
  fails(std::string("import ") + kNoSuchPackage, StatusCode::kFailedPrecondition, kNoSuchPackage);
  fails("exit 7", StatusCode::kUnavailable, "exited with code 7 while it loaded the model");
  fails("kill", StatusCode::kUnavailable, "signal 9 (SIGKILL) while it loaded the model");

  CHECK(load_failure("moody", {}, folder.file("nothing")).code() == StatusCode::kNotFound);
  CHECK(contains(load_failure("nobody"), "no callable 'nobody'"));
  CHECK(contains(load_failure("not_callable"), "no callable 'not_callable'"));
  CHECK(contains(load_failure("x", {{"runner", "no_such_module:x"}}), "no_such_module"));
  CHECK(contains(load_failure("FalselyBatchable"), "batchable"));
  CHECK(contains(load_failure("UnknownDtype"), "'decimal'"));
  const Status program = load_failure("Control", {{"python", "/no/such/python"}});
  CHECK(program.code() == StatusCode::kNotFound);
  CHECK(contains(program, "/no/such/python"));
  CHECK(contains(load_failure("Control", {{"python", "/bin/false"}}), "exited with code 1"));

  folder.write("mood", "hang");
  const Status hang = load_failure("moody", {{"start_timeout_ms", "400"}}, folder.file("mood"));
  CHECK(hang.code() == StatusCode::kUnavailable);
  CHECK(contains(hang, "within 400 ms while it loaded the model"));
  CHECK(no_children());
}

TEST(restarts_that_keep_failing_pause_and_recover) {
  const TemporaryFolder folder;
  const auto model = load("moody", {}, folder.write("mood", "ok"));
  const auto instance = must(model->create_instance());
  folder.write("mood", "exit 9");
  CHECK(command(*instance, "exit:1").status.code() == StatusCode::kUnavailable);
  const Status failed = command(*instance, "pid").status;
  CHECK(failed.code() == StatusCode::kUnavailable);
  CHECK(contains(failed, "cannot restart"));
  CHECK(contains(failed, "exited with code 9"));
  // Paused or tried again: both are kUnavailable and name the cause. Ten starts would not fit into
  // the pauses of ten failures (100 ms, 200 ms, ... 10 s), so most of these calls fail at once.
  for (int i = 0; i < 10; ++i) {
    const Status paused = command(*instance, "pid").status;
    CHECK(paused.code() == StatusCode::kUnavailable);
    CHECK(contains(paused, "exited with code 9"));
  }
  CHECK_EQ(instance->restarts(), 0U);
  folder.write("mood", "ok");
  CHECK(eventually([&] { return command(*instance, "pid").status.is_ok(); }));
  CHECK_EQ(instance->restarts(), 1U);
}

TEST(a_restart_with_another_specification_is_refused) {
  const TemporaryFolder folder;
  const auto model = load("moody", {}, folder.write("mood", "ok"));
  const auto instance = must(model->create_instance());
  folder.write("mood", "other_spec");
  CHECK(!command(*instance, "exit:1").status.is_ok());
  const Status status = command(*instance, "pid").status;
  CHECK(status.code() == StatusCode::kUnavailable);
  CHECK(contains(status, "reload the model"));
}

TEST(instances_run_in_parallel_and_die_alone) {
  const auto model = load("Control");
  constexpr std::size_t kInstances = 3;
  std::vector<std::unique_ptr<Instance>> instances(kInstances);
  std::atomic<int> answered{0};
  std::atomic<int> died{0};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < kInstances; ++i) {
    threads.emplace_back([&, i] {
      auto created = model->create_instance();
      CHECK(created.is_ok());
      if (!created.is_ok()) return;
      instances[i] = std::move(created).value();
      for (int round = 1; round <= 60; ++round) {
        const bool fatal = i == 0 && round % 20 == 0;
        const std::string size = std::to_string(round * 1000);
        const Answer answer = command(*instances[i], fatal ? "exit:5" : "data:" + size);
        if (answer.status.is_ok()) {
          CHECK_EQ(std::to_string(answer.outputs.at(1).elements()), size);
          answered.fetch_add(1);
        } else {
          CHECK(answer.status.code() == StatusCode::kUnavailable);
          died.fetch_add(1);
        }
      }
    });
  }
  threads.clear();
  CHECK_EQ(died.load(), 3);
  CHECK_EQ(answered.load(), 3 * 60 - 3);
  CHECK_EQ(instances.at(0)->restarts(), 2U);  // the last death had no next call
  CHECK_EQ(instances.at(1)->restarts(), 0U);
}
