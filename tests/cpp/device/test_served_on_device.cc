// A served model on simulated devices: executions that overlap, every request answered once
// whatever fails, and a device that is lost and comes back.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "device_fixture.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

using Fixture = DeviceFixture;

ServeOptions batches_of(std::int64_t rows) {
  ServeOptions options;
  options.name = "doubling";
  options.batcher.max_batch_rows = rows;
  options.batcher.queue_capacity = 4096;
  options.inline_limit_ns = 0;
  return options;
}

void check_each_once(Fixture& fixture, std::uint64_t requests) {
  REQUIRE(fixture.sink->wait_for(requests));
  for (std::uint64_t tag = 0; tag < requests; ++tag) CHECK_EQ(fixture.sink->completions(tag), 1);
}

// What the device does now, with nothing in its way.
void check_serves(Fixture& fixture, std::uint64_t tag) {
  const std::size_t before = fixture.sink->total();
  REQUIRE(fixture.submit(tag, 2).is_ok());
  REQUIRE(fixture.sink->wait_for(before + 1));
  CHECK(fixture.is_answer(tag, 2));
}

}  // namespace

TEST(executions_overlap_when_there_is_work) {
  constexpr std::int64_t kBatches = 200;
  for (const auto& times : {Fixture::Times{}, Fixture::Times{.copy_ns = 5'000, .compute_ns = 2'000},
                            Fixture::Times{.copy_ns = 3'000, .compute_ns = 3'000}}) {
    Fixture fixture(batches_of(4), times, 4);
    // All wait before the first ends: how fast they are submitted is not what is tested.
    fixture.model->made[0]->is_held.store(true);
    for (std::uint64_t tag = 0; tag < kBatches; ++tag) REQUIRE(fixture.submit(tag, 4).is_ok());
    fixture.model->made[0]->is_held.store(false);
    check_each_once(fixture, kBatches);
    for (std::uint64_t tag = 0; tag < kBatches; ++tag) CHECK(fixture.is_answer(tag, 4));
    const Nanoseconds slowest = std::max(times.copy_ns, times.compute_ns);
    const Nanoseconds fill_ns = 2 * times.copy_ns + times.compute_ns - slowest;
    const auto ideal = static_cast<double>(slowest * kBatches + fill_ns);
    const auto took = static_cast<double>(fixture.device->host_ns());
    CHECK(took >= ideal);
    CHECK(took <= 1.1 * ideal);
  }
}

TEST(rows_of_many_callers_share_executions_and_get_their_own_back) {
  Fixture fixture(batches_of(16), {});
  std::vector<std::thread> callers;
  for (std::uint64_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&fixture, caller] {
      for (std::uint64_t i = 0; i < 200; ++i) {
        const std::uint64_t tag = caller * 200 + i;
        CHECK(fixture.submit(tag, 1 + static_cast<std::int64_t>(tag % 5)).is_ok());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  check_each_once(fixture, 800);
  for (std::uint64_t tag = 0; tag < 800; ++tag) {
    CHECK(fixture.is_answer(tag, 1 + static_cast<std::int64_t>(tag % 5)));
  }
  CHECK(fixture.served->stats().executions.count() < 800);
  CHECK_EQ(fixture.served->stats().succeeded.value(), 800U);
}

TEST(a_request_of_more_rows_than_a_batch_is_joined_again) {
  Fixture fixture(batches_of(4), {});
  REQUIRE(fixture.submit(0, 18).is_ok());
  REQUIRE(fixture.sink->wait_for(1));
  const Response response = fixture.sink->response(0);
  REQUIRE(response.status.is_ok());
  CHECK_EQ(response.outputs.at(0).rows(), 18);
}

TEST(a_batch_that_fails_is_executed_request_by_request) {
  Fixture fixture(batches_of(8), {.copy_ns = 300'000, .compute_ns = 300'000, .is_real_time = true},
                  1);
  fixture.model->made[0]->refuses_rows = 2;  // it takes no two rows at once
  for (std::uint64_t tag = 0; tag < 40; ++tag) REQUIRE(fixture.submit(tag, 1).is_ok());
  check_each_once(fixture, 40);
  for (std::uint64_t tag = 0; tag < 40; ++tag) CHECK(fixture.is_answer(tag, 1));
  CHECK(fixture.served->stats().max_batch_rows_seen.value() > 1);
}

TEST(a_request_that_cannot_be_executed_fails_alone) {
  Fixture fixture(batches_of(1), {});
  fixture.device->refuse(SimulatedCall::kLaunch, resource_exhausted("no memory for that"), 3);
  for (std::uint64_t tag = 0; tag < 20; ++tag) REQUIRE(fixture.submit(tag, 1).is_ok());
  check_each_once(fixture, 20);
  for (std::uint64_t tag = 0; tag < 20; ++tag) {
    const Status status = fixture.sink->response(tag).status;
    CHECK_EQ(status.is_ok(), tag != 3);
    if (tag == 3) {
      CHECK_EQ(status.code(), StatusCode::kResourceExhausted);
    }
  }
}

TEST(a_lost_device_fails_what_is_on_it_and_comes_back) {
  Fixture fixture(batches_of(1), {});
  std::uint64_t tag = 0;
  for (std::uint64_t round = 1; round <= 3; ++round) {
    fixture.device->lose_after(round, "an illegal address");
    const std::uint64_t until = tag + 30;
    for (; tag < until; ++tag) REQUIRE(fixture.submit(tag, 1).is_ok());
    check_each_once(fixture, tag);
    // Those behind what was lost may have to wait for the next attempt to bring it back.
    while (!fixture.sink->response(tag - 1).status.is_ok()) {
      CHECK_EQ(fixture.sink->response(tag - 1).status.code(), StatusCode::kUnavailable);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      REQUIRE(fixture.submit(tag++, 1).is_ok());
      REQUIRE(fixture.sink->wait_for(tag));
    }
    CHECK_EQ(fixture.served->restarts(), round);
    CHECK(fixture.served->health().is_ok());
  }
  fixture.device->lose("for good");
  const Status health = fixture.served->health();
  CHECK_EQ(health.code(), StatusCode::kUnavailable);
  CHECK(health.message().find("for good") != std::string::npos);
  CHECK_EQ(fixture.sink->total(), tag);
}

TEST(what_could_not_be_made_anew_on_a_device_that_is_back_is_told) {
  Fixture fixture(batches_of(2), {});
  check_serves(fixture, 0);
  fixture.model->made[0]->build_refusal = resource_exhausted("taken meanwhile");
  fixture.device->lose("a fault");
  std::uint64_t tag = 1;
  const auto ask = [&] {
    REQUIRE(fixture.submit(tag++, 1).is_ok());
    REQUIRE(fixture.sink->wait_for(tag));
    return fixture.sink->response(tag - 1).status.is_ok();
  };
  while (fixture.device->health().code() == StatusCode::kUnavailable) CHECK(!ask());
  const Status health = fixture.served->health();
  CHECK_EQ(health.code(), StatusCode::kResourceExhausted);
  while (!ask()) std::this_thread::yield();
  CHECK(fixture.served->health().is_ok());
}

TEST(a_worker_that_sleeps_is_woken_by_the_end_of_an_execution) {
  ServeOptions options = batches_of(2);
  options.poll_limit_ns = 0;
  Fixture fixture(options, {.copy_ns = 100'000, .compute_ns = 20'000'000, .is_real_time = true});
  for (std::uint64_t tag = 0; tag < 8; ++tag) {
    check_serves(fixture, tag);  // from the second on it is known to take long
  }
  fixture.device->lose_after(1, "lost while nobody looks");
  REQUIRE(fixture.submit(8, 1).is_ok());
  REQUIRE(fixture.sink->wait_for(9));
  CHECK_EQ(fixture.sink->response(8).status.code(), StatusCode::kUnavailable);
}

TEST(requests_that_come_while_others_execute_are_begun_at_once) {
  Fixture fixture(batches_of(1), {});
  fixture.model->made[0]->is_held.store(true);
  for (std::uint64_t tag = 0; tag < 3; ++tag) {
    REQUIRE(fixture.submit(tag, 1).is_ok());
    while (fixture.served->approx_queue_size() > 0) std::this_thread::yield();
  }
  CHECK_EQ(fixture.sink->total(), 0U);  // all three are on the device, and none has ended
  fixture.model->made[0]->is_held.store(false);
  check_each_once(fixture, 3);
}

TEST(a_caller_that_waits_computes_by_itself_when_the_instance_is_idle) {
  ServeOptions options = batches_of(4);
  options.inline_limit_ns = 1'000'000'000;
  Fixture fixture(options, {});
  std::uint64_t is_inline = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const std::vector<Tensor> inputs{doubling_rows(i, 2, Fixture::kWidth)};
    const auto response = fixture.served->try_run_inline(inputs, {.caller_waits = true});
    if (!response) {
      check_serves(fixture, 1000 + i);
      while (fixture.served->is_busy()) std::this_thread::yield();
      continue;
    }
    ++is_inline;
    REQUIRE(response->status.is_ok());
    CHECK(is_right(response->outputs.at(0), i, 2, Fixture::kWidth));
  }
  CHECK(is_inline > 50);
  CHECK_EQ(fixture.device->entered(), 0);
}

TEST(instances_come_and_go_while_executions_overlap) {
  ServeOptions options = batches_of(2);
  options.max_instances = 4;
  Fixture fixture(options, {.copy_ns = 20'000, .compute_ns = 50'000, .is_real_time = true});
  std::atomic<bool> is_done{false};
  std::thread changer([&] {
    std::mt19937 random(7);
    while (!is_done.load()) CHECK(fixture.served->set_instances(1 + random() % 4).is_ok());
  });
  for (std::uint64_t tag = 0; tag < 2000; ++tag) {
    while (!fixture.submit(tag, 1).is_ok()) std::this_thread::yield();
  }
  check_each_once(fixture, 2000);
  is_done.store(true);
  changer.join();
  for (std::uint64_t tag = 0; tag < 2000; ++tag) CHECK(fixture.is_answer(tag, 1));
}

TEST(warm_ups_get_an_instance_that_is_never_idle) {
  Fixture fixture(batches_of(1), {.copy_ns = 20'000, .compute_ns = 50'000, .is_real_time = true});
  std::atomic<bool> is_done{false};
  std::thread client([&] {
    // More wait at any time than are in progress.
    std::uint64_t tag = 0;
    while (!is_done.load()) {
      while (fixture.served->approx_queue_size() < 8) CHECK(fixture.submit(tag++, 1).is_ok());
      std::this_thread::yield();
    }
    check_each_once(fixture, tag);
  });
  const std::vector<Tensor> rows{doubling_rows(1, 1, Fixture::kWidth)};
  for (int i = 0; i < 5; ++i) CHECK(fixture.served->warm_up(rows, 1, now_ns()).is_ok());
  is_done.store(true);
  client.join();
}

TEST(closing_ends_what_is_on_the_device_and_what_waits) {
  for (int round = 0; round < 10; ++round) {
    Fixture fixture(batches_of(1), {.copy_ns = 1'000, .compute_ns = 300'000, .is_real_time = true});
    for (std::uint64_t tag = 0; tag < 50; ++tag) REQUIRE(fixture.submit(tag, 1).is_ok());
    std::this_thread::sleep_for(std::chrono::microseconds(200 * round));
    fixture.served->close(0);
    check_each_once(fixture, 50);
  }
}

TEST(every_request_ends_once_under_random_faults) {
  std::mt19937 random(20261130);
  for (int round = 0; round < 10; ++round) {
    Fixture fixture(batches_of(1 + static_cast<std::int64_t>(random() % 8)), {}, 1 + random() % 4);
    std::uint64_t tag = 0;
    while (tag < 600) {
      RequestOptions options;
      if (random() % 8 == 0) options.deadline_ns = now_ns() + 1'000'000 * (random() % 20);
      Ticket ticket{};
      const std::int64_t rows = 1 + static_cast<std::int64_t>(random() % 12);
      if (!fixture.submit(tag, rows, options, &ticket).is_ok()) continue;
      ++tag;
      switch (random() % 64) {
        case 0:
          fixture.device->refuse(SimulatedCall::kCopy, resource_exhausted("refused"), random() % 4);
          break;
        case 1:
          fixture.device->refuse(SimulatedCall::kLaunch, internal_error("refused"), random() % 4);
          break;
        case 2:
          fixture.device->lose_after(random() % 12, "lost");
          break;
        case 3:
          std::this_thread::sleep_for(std::chrono::milliseconds(random() % 3));
          break;
        default:
          if (random() % 8 == 0) fixture.served->cancel(ticket);
          break;
      }
    }
    check_each_once(fixture, tag);
    fixture.served->close(now_ns() + 1'000'000'000);
    CHECK_EQ(fixture.sink->total(), tag);
    CHECK_EQ(fixture.device->entered(), 0);
  }
}
