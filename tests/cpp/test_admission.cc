// Admission by learned time: what would be late is refused, but a model never talks itself out of
// all its work, and nobody is refused for those whom it would overtake.
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/served_model.h"
#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::counting_rows;
using Fixture = testing::ServedFixture;

// Makes the model believe that so many rows take at least `minimum`.
void teach(Fixture& fixture, std::chrono::milliseconds minimum, std::int64_t rows = 1) {
  fixture.control->close_gate();
  REQUIRE(fixture.submit(2000, counting_rows(0, rows)).is_ok());
  fixture.control->wait_at_gate(1);
  std::this_thread::sleep_for(minimum);
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(1));
}

RequestOptions within(Nanoseconds time, int priority = kNormalPriority) {
  RequestOptions options;
  options.priority = priority;
  options.deadline_ns = now_ns() + time;
  return options;
}

TEST(a_slow_first_execution_does_not_refuse_those_behind_it) {
  Fixture fixture;
  teach(fixture, std::chrono::milliseconds(200));
  const Nanoseconds learned_ns = fixture.served->stats().last_execute_ns.value();
  // The timeout is shorter than what was learned and far longer than what is true.
  REQUIRE(fixture.submit(1, counting_rows(1, 1), within(learned_ns / 2)).is_ok());
  REQUIRE(fixture.sink->wait_for(2));
  // One quick execution corrects it, also for those who would have to queue.
  fixture.occupy();
  REQUIRE(fixture.submit(2, counting_rows(1, 1)).is_ok());
  CHECK(fixture.submit(3, counting_rows(1, 1), within(learned_ns / 2)).is_ok());
}

// The same for a size of request that never meets an idle model: now and then one is tried.
TEST(a_busy_model_tries_again_what_was_slow_once) {
  Fixture fixture;
  teach(fixture, std::chrono::milliseconds(200), 4);
  const Nanoseconds learned_ns = fixture.served->stats().last_execute_ns.value();
  fixture.occupy();
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());  // something is always queued
  int refused = 0;
  Status status = resource_exhausted("not tried yet");
  while (refused < 100 && !status.is_ok()) {
    status = fixture.submit(2, counting_rows(1, 4), within(learned_ns / 2));
    if (!status.is_ok()) ++refused;
  }
  CHECK(status.is_ok());
  CHECK(refused > 0);
}

TEST(who_cannot_make_it_behind_the_queue_is_refused) {
  ServeOptions options;
  options.batcher.max_batch_rows = 1;
  Fixture fixture(options);
  teach(fixture, std::chrono::milliseconds(5));
  const Nanoseconds learned_ns = fixture.served->stats().last_execute_ns.value();
  fixture.occupy();
  for (std::uint64_t tag = 0; tag < 40; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(1, 1)).is_ok());
  }
  const Status refused = fixture.submit(100, counting_rows(1, 1), within(20 * learned_ns));
  CHECK(refused.code() == StatusCode::kResourceExhausted);
  CHECK(refused.message().find("retry later") != std::string::npos);
  CHECK_EQ(fixture.served->stats().rejected.value(), 1U);
  // The forty are in lower lanes: an urgent request overtakes them, so they are no reason.
  CHECK(fixture.submit(101, counting_rows(1, 1), within(20 * learned_ns, kUrgentPriority)).is_ok());
}

TEST(an_invalid_priority_is_never_run_inline) {
  ServeOptions options;
  options.inline_limit_ns = 1'000'000'000;
  Fixture open(options);
  REQUIRE(open.submit(1, counting_rows(1, 1)).is_ok());
  REQUIRE(open.sink->wait_for(1));
  RequestOptions invalid;
  invalid.priority = 99;
  const std::vector<Tensor> inputs{counting_rows(1, 1)};
  std::optional<Response> valid;
  while (!valid) {  // the worker may hold its instance for a moment after the completion
    valid = open.served->try_run_inline(inputs, {});
    CHECK(!open.served->try_run_inline(inputs, invalid).has_value());
  }
}

}  // namespace
}  // namespace slipstream
