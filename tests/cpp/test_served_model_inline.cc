// What runs on its caller's thread: by what it is known to cost there, by who waits, and by what
// else waits.
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "core/served_model.h"
#include "served_fixture.h"

namespace slipstream {
namespace {

using testing::counting_rows;
using testing::first_value;
using Fixture = testing::ServedFixture;

constexpr RequestOptions kWaiting{.caller_waits = true};
constexpr Nanoseconds kHourNs = 3'600'000'000'000;

std::vector<Tensor> row(double first) {
  std::vector<Tensor> inputs;
  inputs.push_back(counting_rows(first, 1));
  return inputs;
}

// Too slow for an event loop, whatever it takes; quick enough for whoever waits.
ServeOptions slow_options() {
  ServeOptions options;
  options.inline_limit_ns = 1;
  options.waiting_limit_ns = kHourNs;
  return options;
}

void warm_up(Fixture& fixture) {
  REQUIRE(fixture.served->warm_up(row(1), ~std::uint64_t{0}, kNoDeadline).is_ok());
}

// The answer of a request that should run here. A worker that has just started, or answered, may be
// looking for work, with its instance: then it is asked again.
Response run_here(Fixture& fixture, double first, const RequestOptions& options) {
  std::optional<Response> response;
  const Nanoseconds until_ns = now_ns() + 10'000'000'000;
  while (!response && now_ns() < until_ns) {
    response = fixture.served->try_run_inline(row(first), options);
  }
  REQUIRE(response.has_value());
  return std::move(*response);
}

TEST(who_waits_computes_what_is_too_slow_for_an_event_loop) {
  Fixture fixture(slow_options());
  CHECK(!fixture.served->try_run_inline(row(4), kWaiting).has_value());  // it may take hours
  warm_up(fixture);
  CHECK(!fixture.served->try_run_inline(row(4), {}).has_value());
  const Response response = run_here(fixture, 4, kWaiting);
  CHECK_EQ(first_value(response), 8.0);
  CHECK(response.is_inline);
  CHECK_EQ(fixture.served->stats().inline_executions.value(), 1U);
  CHECK_EQ(fixture.served->busy_instances(), 0U);
}

TEST(who_has_a_deadline_is_answered_by_then_whatever_the_execution_does) {
  Fixture fixture(slow_options());
  warm_up(fixture);
  RequestOptions options = kWaiting;
  options.deadline_ns = now_ns() + kHourNs;
  CHECK(!fixture.served->try_run_inline(row(4), options).has_value());
}

TEST(admission_counts_on_what_a_caller_computes) {
  Fixture fixture(slow_options());
  fixture.occupy();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(1));  // 100 ms are learned
  const Nanoseconds alone_ns = fixture.served->stats().last_execute_ns.value();
  fixture.control->close_gate();
  std::thread caller([&] { (void)run_here(fixture, 1, kWaiting); });
  fixture.control->wait_at_gate(1);
  REQUIRE(fixture.submit(1, counting_rows(1, 1)).is_ok());
  RequestOptions options;  // with what waits it would make it, but not behind the caller, too
  options.deadline_ns = now_ns() + 2 * alone_ns;
  const Status refused = fixture.submit(2, counting_rows(1, 1), options);
  CHECK(refused.code() == StatusCode::kResourceExhausted);
  fixture.control->open_gate();
  caller.join();
}

TEST(what_runs_for_longer_is_left_to_a_worker_so_that_a_signal_can_end_the_wait) {
  ServeOptions options = slow_options();
  options.waiting_limit_ns = 1;
  Fixture fixture(options);
  warm_up(fixture);
  CHECK(!fixture.served->try_run_inline(row(4), kWaiting).has_value());
}

TEST(no_limit_for_event_loops_means_none_for_anybody) {
  ServeOptions options = slow_options();
  options.inline_limit_ns = 0;
  Fixture fixture(options);
  warm_up(fixture);
  CHECK(!fixture.served->try_run_inline(row(4), kWaiting).has_value());
}

TEST(while_a_caller_computes_others_queue_and_share_an_execution) {
  Fixture fixture(slow_options());
  warm_up(fixture);
  const std::size_t before = fixture.control->batch_sizes().size();
  fixture.control->close_gate();
  Response mine;
  std::thread caller([&] { mine = run_here(fixture, 1, kWaiting); });
  fixture.control->wait_at_gate(1);
  CHECK_EQ(fixture.served->busy_instances(), 1U);
  CHECK(fixture.served->is_busy());
  CHECK(!fixture.served->try_run_inline(row(2), kWaiting).has_value());
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok());
  }
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(3));
  caller.join();
  CHECK_EQ(first_value(mine), 2.0);
  CHECK_EQ(first_value(fixture.sink->response(3)), 6.0);
  std::vector<std::int64_t> batches = fixture.control->batch_sizes();
  batches.erase(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(before));
  const std::vector<std::int64_t> expected{1, 3};
  CHECK(batches == expected);
}

TEST(in_a_crowd_callers_queue_until_it_is_gone) {
  Fixture fixture(slow_options());
  fixture.occupy();
  for (std::uint64_t tag = 1; tag <= 3; ++tag) {
    REQUIRE(fixture.submit(tag, counting_rows(static_cast<double>(tag), 1)).is_ok());
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(4));  // 50 ms are learned, by which a crowd is remembered
  while (fixture.served->is_busy()) std::this_thread::yield();
  CHECK(!fixture.served->try_run_inline(row(1), kWaiting).has_value());
  CHECK_EQ(first_value(run_here(fixture, 4, kWaiting)), 8.0);
}

TEST(callers_take_an_instance_each) {
  ServeOptions options = slow_options();
  options.instances = 2;
  Fixture fixture(options);
  warm_up(fixture);
  fixture.control->close_gate();
  std::atomic<int> answered{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      if (first_value(run_here(fixture, 1, kWaiting)) == 2.0) ++answered;
    });
  }
  fixture.control->wait_at_gate(2);
  CHECK(!fixture.served->try_run_inline(row(1), kWaiting).has_value());
  fixture.control->open_gate();
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(answered.load(), 2);
}

// The notification of a request may wake the worker whose instance is lent. Which one it wakes is
// up to the kernel, so it is tried several times.
TEST(a_worker_without_its_instance_leaves_what_waits_to_another) {
  for (int i = 0; i < 20; ++i) {
    ServeOptions options = slow_options();
    options.instances = 2;
    Fixture fixture(options);
    warm_up(fixture);
    while (fixture.served->is_busy()) std::this_thread::yield();
    fixture.control->close_gate();
    std::thread caller([&] { (void)run_here(fixture, 1, kWaiting); });
    fixture.control->wait_at_gate(1);
    const std::size_t begun = fixture.control->batch_sizes().size();
    REQUIRE(fixture.submit(1, counting_rows(2, 1)).is_ok());
    const Nanoseconds until_ns = now_ns() + 10'000'000'000;
    while (fixture.control->batch_sizes().size() == begun && now_ns() < until_ns) {
      std::this_thread::yield();
    }
    CHECK_EQ(fixture.control->batch_sizes().size(), begun + 1);
    fixture.control->open_gate();
    caller.join();
    REQUIRE(fixture.sink->wait_for(1));
  }
}

TEST(closing_waits_for_a_caller_that_computes) {
  Fixture fixture(slow_options());
  warm_up(fixture);
  fixture.control->close_gate();
  Response mine;
  std::thread caller([&] { mine = run_here(fixture, 1, kWaiting); });
  fixture.control->wait_at_gate(1);
  std::atomic<bool> is_closed{false};
  std::thread closer([&] {
    fixture.served->close(0);
    is_closed.store(true);
  });
  while (fixture.submit(1, counting_rows(1, 1)).is_ok()) std::this_thread::yield();
  CHECK(!is_closed.load());
  fixture.control->open_gate();
  closer.join();
  caller.join();
  CHECK(mine.status.is_ok());
  CHECK(!fixture.served->try_run_inline(row(1), kWaiting).has_value());
}

// A worker's first execution, of a model that was not warmed up, took twice the limit. What it
// would take here nobody knows until one of many requests shows it.
TEST(a_model_that_looked_slow_on_a_worker_is_tried_inline_now_and_then) {
  constexpr Nanoseconds kLimitNs = 100'000'000;
  ServeOptions options;
  options.inline_limit_ns = kLimitNs;
  Fixture fixture(options);
  fixture.occupy();
  std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kLimitNs));
  fixture.control->open_gate();
  REQUIRE(fixture.sink->wait_for(1));
  while (fixture.served->is_busy()) std::this_thread::yield();  // the worker is about to sleep
  int asked = 1;
  while (!fixture.served->try_run_inline(row(1), {}) && asked < 10'000) ++asked;
  CHECK(asked >= 256 && asked < 10'000);
  CHECK_EQ(first_value(run_here(fixture, 4, {})), 8.0);
}

}  // namespace
}  // namespace slipstream
