// What threads are called and how they rank, as the kernel tells it.
#include "core/this_thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "harness.h"

namespace {

using namespace slipstream;
using namespace std::chrono_literals;

int nice_here() {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
}

TEST(work_behind_others_is_done_when_it_returns) {
  const int before = nice_here();
  const pid_t caller = gettid();
  pid_t worker = 0;
  int nice = before;
  run_behind([&] {
    worker = gettid();
    nice = nice_here();
  });
  CHECK(worker != 0 && worker != caller);
  CHECK(nice > before);
  CHECK_EQ(nice_here(), before);
}

TEST(what_work_behind_others_throws_is_thrown_to_who_asked) {
  std::string said;
  try {
    run_behind([] { throw std::runtime_error("it was too much"); });
  } catch (const std::runtime_error& error) {
    said = error.what();
  }
  CHECK_EQ(said, "it was too much");
}

TEST(short_turns_leave_the_rank_as_it_is) {
  std::thread([] {
    yield_precedence(3);
    const int nice = nice_here();
    CHECK(shorten_turns(gettid(), 100us));
    CHECK_EQ(nice_here(), nice);
  }).join();
}

TEST(threads_that_are_not_there_have_no_turns) {
  CHECK(!shorten_turns(1 << 30, 100us));
}

}  // namespace
